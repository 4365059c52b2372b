/* SPDX-License-Identifier: 0BSD */
/* mcugen_strip_dsp.h - bytes of neighbouring channels become words of two int16, channel by channel. */
#ifndef MCUGEN_STRIP_DSP_H
#define MCUGEN_STRIP_DSP_H

#include "mcugen_dsp.h"

/* `count` columns of words: where the bytes of both halves are, and how many bytes from a column to the next one. */
typedef struct {
    const int8_t *x[2];
    int32_t step[2];
    uint32_t *to;
    int32_t to_step; /* a multiple of four */
    int32_t count;
} mcugen_strip_copy_t;

/* to[k] of every column: x[0][k] and x[1][k]; k below `channels`. */
MCUGEN_DSP_FUNCTION void mcugen_strip_copy_few(const mcugen_strip_copy_t *copy, int32_t channels)
{
    for (int32_t i = 0; i < copy->count; ++i) {
        uint32_t *to = copy->to + i * (copy->to_step / 4);
        const int8_t *first = copy->x[0] + i * copy->step[0];
        const int8_t *second = copy->x[1] + i * copy->step[1];
        for (int32_t k = 0; k < channels; ++k) {
            to[k] = mcugen_halves(first[k], second[k]);
        }
    }
}

/* The same of four channels. r0 and r1 bytes, r2 and r3 from a column to the next one, r4 words. */
MCUGEN_DSP_FUNCTION void mcugen_strip_copy(const mcugen_strip_copy_t *copy)
{
#if MCUGEN_DSP_INSTRUCTIONS
#define MCUGEN_COLUMN(first, second)                \
    "pkhbt r11, " first ", " second ", lsl #16\n\t" \
    "pkhtb r12, " second ", " first ", asr #16\n\t" \
    "sxtb16 " first ", r11\n\t"                     \
    "sxtb16 r11, r11, ror #8\n\t"                   \
    "sxtb16 " second ", r12\n\t"                    \
    "sxtb16 r12, r12, ror #8\n\t"                   \
    "str " first ", [r4]\n\t"                       \
    "str r11, [r4, #4]\n\t"                         \
    "str " second ", [r4, #8]\n\t"                  \
    "str r12, [r4, #12]\n\t"
    /* No operand but the structure, and all that must be kept is pushed: any compiler has registers left. */
    __asm volatile("push {r4-r11, lr}\n\t"
                   "mov r0, %0\n\t"
                   "ldmia r0, {r0-r6}\n\t"
                   "subs r6, r6, #2\n\t"
                   "blt 2f\n\t"
                   "1:\n\t"
                   "ldr r7, [r0]\n\t"
                   "ldr r8, [r1]\n\t"
                   "ldr r9, [r0, r2]\n\t"
                   "ldr r10, [r1, r3]\n\t"
                   "add r0, r0, r2, lsl #1\n\t"
                   "add r1, r1, r3, lsl #1\n\t" MCUGEN_COLUMN("r7", "r8") "add r4, r4, r5\n\t" MCUGEN_COLUMN(
                       "r9", "r10") "add r4, r4, r5\n\t"
                                    "subs r6, r6, #2\n\t"
                                    "bge 1b\n\t"
                                    "2:\n\t"
                                    "adds r6, r6, #2\n\t"
                                    "beq 3f\n\t"
                                    "ldr r7, [r0]\n\t"
                                    "ldr r8, [r1]\n\t" MCUGEN_COLUMN("r7", "r8") "3:\n\t"
                                                                                 "pop {r4-r11, lr}\n\t"
                   :
                   : "r"(copy)
                   : "r0", "r1", "r2", "r3", "r12", "cc", "memory");
#undef MCUGEN_COLUMN
#else
    mcugen_strip_copy_few(copy, 4);
#endif
}

#endif
