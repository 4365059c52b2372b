/* SPDX-License-Identifier: 0BSD */
/* mcugen_direct_dsp.h - mcugen_gemm_raw for the DSP extension with int8 inputs that stay where they are.
 *
 * Instead of columns there are places, in bytes from x: of the first run of the first pixel's window, of the second
 * pixel's, of the next run of both, ... A run is a multiple of four bytes. */
#ifndef MCUGEN_DIRECT_DSP_H
#define MCUGEN_DIRECT_DSP_H

#include "mcugen_gemm_dsp.h"

typedef struct {
    mcugen_gemm_t gemm; /* its columns are places */
    const int8_t *x;
    int32_t run;
} mcugen_direct_t;

/* The inner loop takes sixteen inputs at a time and begins in its middle; four are 128 bytes of code. */
static inline int32_t mcugen_direct_skip(int32_t run)
{
    return (-(run / 4) & 3) * 128;
}

#if MCUGEN_DSP_INSTRUCTIONS
/* As MCUGEN_GEMM_PAIR; r0 and r12 are inputs of both pixels. */
#define MCUGEN_DIRECT_PAIR(step, rotation) \
    "ldr r10, [r0]" step "\n\t"            \
    "ldr r11, [r12]" step "\n\t"           \
    "ldr lr, [r1], #4\n\t"                 \
    "sxtb16 r10, r10" rotation "\n\t"      \
    "sxtb16 r11, r11" rotation "\n\t"      \
    "smlad r2, r10, lr, r2\n\t"            \
    "smlad r3, r11, lr, r3\n\t"            \
    "sxtb16 lr, lr\n\t"                    \
    "smlad r4, r10, lr, r4\n\t"            \
    "smlad r5, r11, lr, r5\n\t"            \
    "ldr lr, [r1], #4\n\t"                 \
    "smlad r6, r10, lr, r6\n\t"            \
    "smlad r7, r11, lr, r7\n\t"            \
    "sxtb16 lr, lr\n\t"                    \
    "smlad r8, r10, lr, r8\n\t"            \
    "smlad r9, r11, lr, r9\n\t"
#define MCUGEN_DIRECT_FOUR MCUGEN_DIRECT_PAIR("", "") MCUGEN_DIRECT_PAIR(", #4", ", ror #8")
/* r0 comes as the first place; on the stack at 8 and 12: the next place, the end of the first pixel's run. */
#define MCUGEN_DIRECT_SUMS                                                               \
    "mov r3, r2\n\t"                                                                     \
    "mov r5, r4\n\t"                                                                     \
    "mov r7, r6\n\t"                                                                     \
    "mov r9, r8\n\t"                                                                     \
    "4:\n\t" /* a run */                                                                 \
    "ldr r10, [sp, #28]\n\t"                                                             \
    "ldr r12, [r0, #4]\n\t"                                                              \
    "ldr lr, [r0], #8\n\t"                                                               \
    "ldr r11, [r10, #48]\n\t"                                                            \
    "ldr r10, [r10, #52]\n\t"                                                            \
    "str r0, [sp, #8]\n\t"                                                               \
    "add r12, r12, r11\n\t"                                                              \
    "add r0, lr, r11\n\t"                                                                \
    "add r10, r10, r0\n\t"                                                               \
    "str r10, [sp, #12]\n\t"                                                             \
    "ldr pc, [sp, #20]\n\t"                                                              \
    "2:\n\t" MCUGEN_DIRECT_FOUR MCUGEN_DIRECT_FOUR MCUGEN_DIRECT_FOUR MCUGEN_DIRECT_FOUR \
    "ldr r10, [sp, #12]\n\t"                                                             \
    "cmp r0, r10\n\t"                                                                    \
    "bne 2b\n\t"                                                                         \
    "ldr r0, [sp, #8]\n\t"                                                               \
    "ldr r10, [sp, #24]\n\t"                                                             \
    "cmp r0, r10\n\t"                                                                    \
    "bne 4b\n\t"                                                                         \
    "ldr r12, [sp, #16]\n\t"                                                             \
    "str r1, [sp, #4]\n\t"
#else
/* As mcugen_gemm_two, of one run; gives where the next run's weights are. */
static inline const uint32_t *mcugen_direct_two(const int8_t *x, int32_t run, const uint32_t *w, int32_t *one,
                                                int32_t *both)
{
    for (int32_t i = 0; i < run; i += 4) {
        const uint32_t four = mcugen_load_word(x + i);
        const uint32_t even = mcugen_sxtb16(four), odd = mcugen_sxtb16_ror8(four);
        *both = mcugen_smlad(odd, w[2], mcugen_smlad(even, w[0], *both));
        *one = mcugen_smlad(odd, mcugen_sxtb16(w[2]), mcugen_smlad(even, mcugen_sxtb16(w[0]), *one));
        w += 4;
    }
    return w;
}
#endif

/* As mcugen_gemm_raw. */
MCUGEN_DSP_FUNCTION void mcugen_direct_raw(mcugen_direct_t *direct)
{
#if MCUGEN_DSP_INSTRUCTIONS
    __asm volatile(MCUGEN_GEMM_RAW(MCUGEN_DIRECT_SUMS)
                   :
                   : "r"(direct)
                   : "r0", "r1", "r2", "r3", "r12", "cc", "memory");
#else
    mcugen_gemm_t *gemm = &direct->gemm;
    const uint32_t *block = gemm->weights;
    for (const int32_t *four = gemm->channels; four != gemm->channels_end; four += 8) {
        const uint32_t *next = block;
        int8_t bytes[2][4];
        for (int32_t p = 0; p < 2; ++p) {
            for (int32_t k = 0; k < 4; k += 2) {
                int32_t one, both;
                next = block + k / 2;
                mcugen_gemm_raw_begin(four + 2 * k, &one, &both);
                for (const mcugen_aligned_word_t *at = gemm->columns; at != gemm->end; at += 2) {
                    next = mcugen_direct_two(direct->x + (int32_t)at[p], direct->run, next, &one, &both);
                }
                mcugen_gemm_raw_end(gemm, four + 2 * k, one, both, bytes[p] + k);
            }
        }
        mcugen_gemm_store(gemm, bytes);
        block = next - 1; /* the weights of channels 2 and 3 lie a word behind those of 0 and 1 */
    }
#endif
}

#endif
