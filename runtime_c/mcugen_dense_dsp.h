/* SPDX-License-Identifier: 0BSD */
/* mcugen_dense_dsp.h - one vector times weights for the DSP extension, eight output channels at a time. */
#ifndef MCUGEN_DENSE_DSP_H
#define MCUGEN_DENSE_DSP_H

#include "mcugen_output_dsp.h"

/* Inputs end at `end`, a multiple of four bytes behind x; `main_end` is the last multiple of sixteen. Up to three more
 * bytes are in `rest`, with zeros behind them, if has_rest. What is written is advanced: weights, channels, y. */
typedef struct {
    const int8_t *x, *main_end, *end;
    const uint32_t *weights;
    const int32_t *channels;
    int8_t *y;
    int32_t blocks;
    int32_t rounding; /* 2 * zero point + 1 */
    uint32_t rest;
    int32_t has_rest;
} mcugen_dense_t;

/* y[c] of 8 * blocks channels c. Weights and channels as for mcugen_gemm_raw: four words of channels 0 and 1, 2 and 3, 4
 * and 5, 6 and 7 with inputs 0 and 2, then four with inputs 1 and 3. */
MCUGEN_DSP_FUNCTION void mcugen_dense_raw(mcugen_dense_t *dense)
{
#if MCUGEN_DSP_INSTRUCTIONS
/* r0 inputs, r1 weights, r2 to r5 sums with two channels, r6 to r9 with the first of them; r10 and r11 inputs. */
#define MCUGEN_TWO(x, both, first, w)            \
    "smlad " both ", " x ", " w ", " both "\n\t" \
    "sxtb16 " w ", " w "\n\t"                    \
    "smlad " first ", " x ", " w ", " first "\n\t"
#define MCUGEN_LOAD(a, b)       \
    "ldr r12, [r1, #" a "]\n\t" \
    "ldr lr, [r1, #" b "]\n\t"
/* Four inputs in r10 times four words, which lie up to 32 bytes before r1; the first two are loaded. */
#define MCUGEN_FOUR                                                                                        \
    "sxtb16 r11, r10, ror #8\n\t"                                                                          \
    "sxtb16 r10, r10\n\t" MCUGEN_TWO("r10", "r2", "r6", "r12") MCUGEN_TWO("r10", "r3", "r7", "lr")         \
        MCUGEN_LOAD("-24", "-20") MCUGEN_TWO("r10", "r4", "r8", "r12") MCUGEN_TWO("r10", "r5", "r9", "lr") \
            MCUGEN_LOAD("-16", "-12") MCUGEN_TWO("r11", "r2", "r6", "r12")                                 \
                MCUGEN_TWO("r11", "r3", "r7", "lr") MCUGEN_LOAD("-8", "-4")                                \
                    MCUGEN_TWO("r11", "r4", "r8", "r12") MCUGEN_TWO("r11", "r5", "r9", "lr")
#define MCUGEN_STEP          \
    "ldr r10, [r0], #4\n\t"  \
    "ldr r12, [r1], #32\n\t" \
    "ldr lr, [r1, #-28]\n\t" MCUGEN_FOUR
/* A sum of two channels and the first one's to twice both sums, then to bytes; r12 channels, lr rounding. */
#define MCUGEN_APART(both, first)           \
    "sub " both ", " both ", " first "\n\t" \
    "lsl " first ", " first ", #1\n\t"      \
    "asr " both ", " both ", #7\n\t"
#define MCUGEN_CHANNEL(a, word, multiplier) \
    "ldr r10, [r12, #" word "]\n\t"         \
    "ldr r11, [r12, #" multiplier "]\n\t"   \
    "lsl r1, lr, r10\n\t"                   \
    "add r1, r1, " a ", asr #31\n\t"        \
    "smmlar " a ", " a ", r11, r1\n\t"      \
    "asr " a ", " a ", r10\n\t"             \
    "ssat " a ", #8, " a ", asr #1\n\t"
    /* No operand but the structure, and all that must be kept is pushed: any compiler has registers left. */
    __asm volatile("push {r4-r11, lr}\n\t"
                   "mov r3, %0\n\t"
                   "ldr r1, [r3, #4]\n\t"
                   "ldr r2, [r3, #8]\n\t"
                   "push {r1-r3}\n\t"
                   "1:\n\t"
                   "ldr r10, [r3, #16]\n\t"
                   "ldr r1, [r3, #12]\n\t"
                   "ldr r0, [r3, #0]\n\t"
                   "ldr r6, [r10, #0]\n\t"
                   "ldr r2, [r10, #8]\n\t"
                   "ldr r7, [r10, #16]\n\t"
                   "ldr r3, [r10, #24]\n\t"
                   "ldr r8, [r10, #32]\n\t"
                   "ldr r4, [r10, #40]\n\t"
                   "ldr r9, [r10, #48]\n\t"
                   "ldr r5, [r10, #56]\n\t"
                   "asr r6, r6, #8\n\t"
                   "asr r7, r7, #8\n\t"
                   "asr r8, r8, #8\n\t"
                   "asr r9, r9, #8\n\t"
                   "add r2, r2, r6\n\t"
                   "add r3, r3, r7\n\t"
                   "add r4, r4, r8\n\t"
                   "add r5, r5, r9\n\t"
                   "ldr r12, [sp, #0]\n\t"
                   "cmp r0, r12\n\t"
                   "beq 3f\n\t"
                   "2:\n\t" /* sixteen inputs */
                   MCUGEN_STEP MCUGEN_STEP MCUGEN_STEP MCUGEN_STEP "ldr r12, [sp, #0]\n\t"
                   "cmp r0, r12\n\t"
                   "bne 2b\n\t"
                   "3:\n\t"
                   "ldr r12, [sp, #4]\n\t"
                   "cmp r0, r12\n\t"
                   "beq 4f\n\t" MCUGEN_STEP "b 3b\n\t"
                   "4:\n\t"
                   "ldr r0, [sp, #8]\n\t"
                   "ldr r12, [r0, #36]\n\t"
                   "cmp r12, #0\n\t"
                   "beq 5f\n\t"
                   "ldr r10, [r0, #32]\n\t"
                   "ldr r12, [r1], #32\n\t"
                   "ldr lr, [r1, #-28]\n\t" MCUGEN_FOUR "5:\n\t" /* outputs */
                   "ldr r12, [r0, #16]\n\t"
                   "ldr lr, [r0, #28]\n\t"
                   "str r1, [r0, #12]\n\t" MCUGEN_APART("r2", "r6") MCUGEN_APART("r3", "r7")
                       MCUGEN_APART("r4", "r8") MCUGEN_APART("r5", "r9") MCUGEN_CHANNEL("r6", "0", "4")
                           MCUGEN_CHANNEL("r2", "8", "12") MCUGEN_CHANNEL("r7", "16", "20")
                               MCUGEN_CHANNEL("r3", "24", "28") MCUGEN_CHANNEL("r8", "32", "36")
                                   MCUGEN_CHANNEL("r4", "40", "44") MCUGEN_CHANNEL("r9", "48", "52")
                                       MCUGEN_CHANNEL("r5", "56", "60") "add r12, r12, #64\n\t"
                                                                        "str r12, [r0, #16]\n\t"
                                                                        "ldr r10, [r0, #20]\n\t"
                                                                        "ldr r12, [r0, #24]\n\t"
                                                                        "strb r2, [r10, #1]\n\t"
                                                                        "strb r7, [r10, #2]\n\t"
                                                                        "strb r3, [r10, #3]\n\t"
                                                                        "strb r8, [r10, #4]\n\t"
                                                                        "strb r4, [r10, #5]\n\t"
                                                                        "strb r9, [r10, #6]\n\t"
                                                                        "strb r5, [r10, #7]\n\t"
                                                                        "strb r6, [r10], #8\n\t"
                                                                        "str r10, [r0, #20]\n\t"
                                                                        "mov r3, r0\n\t"
                                                                        "subs r12, r12, #1\n\t"
                                                                        "str r12, [r0, #24]\n\t"
                                                                        "bne 1b\n\t"
                                                                        "add sp, sp, #12\n\t"
                                                                        "pop {r4-r11, lr}\n\t"
                   :
                   : "r"(dense)
                   : "r0", "r1", "r2", "r3", "r12", "cc", "memory");
#undef MCUGEN_TWO
#undef MCUGEN_LOAD
#undef MCUGEN_FOUR
#undef MCUGEN_STEP
#undef MCUGEN_APART
#undef MCUGEN_CHANNEL
#else
    for (; dense->blocks > 0; --dense->blocks) {
        const int32_t words = (int32_t)(dense->end - dense->x) / 4 + dense->has_rest;
        for (int32_t k = 0; k < 8; k += 2) {
            const int32_t *channel = dense->channels + 2 * k;
            const uint32_t *w = dense->weights + k / 2;
            int32_t first = channel[0] >> 8;
            int32_t both = mcugen_wrapping_add(first, channel[2]);
            for (int32_t i = 0; i < words; ++i) {
                const int8_t *at = dense->x + 4 * i;
                const uint32_t x = at == dense->end ? dense->rest : mcugen_load_word(at);
                both = mcugen_smlad(mcugen_sxtb16(x), w[0], both);
                first = mcugen_smlad(mcugen_sxtb16(x), mcugen_sxtb16(w[0]), first);
                both = mcugen_smlad(mcugen_sxtb16_ror8(x), w[4], both);
                first = mcugen_smlad(mcugen_sxtb16_ror8(x), mcugen_sxtb16(w[4]), first);
                w += 8;
            }
            const int32_t second = mcugen_wrapping_add(both, ~first + 1) >> 8;
            dense->y[k] =
                (int8_t)mcugen_requantize_short(first, channel[1], -(channel[0] & 255) - 1, dense->rounding);
            dense->y[k + 1] =
                (int8_t)mcugen_requantize_short(second, channel[3], -(channel[2] & 255) - 1, dense->rounding);
        }
        dense->y += 8;
        dense->weights += 8 * words;
        dense->channels += 16;
    }
#endif
}

#endif
