/* The test vectors, from the files that mcugen wrote beside. */
.macro data name, file
    .section .rodata.\name, "a", %progbits
    .balign 4
    .global \name
\name:
    .incbin "\file"
.endm

data firmware_inputs, "inputs.bin"
data firmware_outputs, "outputs.bin"
data firmware_layer_crcs, "layer_crcs.bin"
