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
    int32_t less_one, multiplier; /* of mcugen_dense_shared alone: the shift to the right less one */
} mcugen_dense_t;

#if MCUGEN_DSP_INSTRUCTIONS
/* Parts of the two functions below. r0 inputs, r1 weights, r2 to r5 sums with two channels, r6 to r9 with the first of
 * them; r10 and r11 inputs. All operands come in a structure, and all that must be kept is pushed: any compiler has
 * registers left. */
#define MCUGEN_DENSE_TWO(x, both, first, w)      \
    "smlad " both ", " x ", " w ", " both "\n\t" \
    "sxtb16 " w ", " w "\n\t"                    \
    "smlad " first ", " x ", " w ", " first "\n\t"
#define MCUGEN_DENSE_LOAD "ldmia r1!, {r12, lr}\n\t"
/* Four inputs in r10 times eight words, of which the first two are loaded. */
#define MCUGEN_DENSE_FOUR                                                                \
    "sxtb16 r11, r10, ror #8\n\t"                                                        \
    "sxtb16 r10, r10\n\t" MCUGEN_DENSE_TWO("r10", "r2", "r6", "r12")                     \
        MCUGEN_DENSE_TWO("r10", "r3", "r7", "lr")                                        \
            MCUGEN_DENSE_LOAD MCUGEN_DENSE_TWO("r10", "r4", "r8", "r12")                 \
                MCUGEN_DENSE_TWO("r10", "r5", "r9", "lr")                                \
                    MCUGEN_DENSE_LOAD MCUGEN_DENSE_TWO("r11", "r2", "r6", "r12")         \
                        MCUGEN_DENSE_TWO("r11", "r3", "r7", "lr")                        \
                            MCUGEN_DENSE_LOAD MCUGEN_DENSE_TWO("r11", "r4", "r8", "r12") \
                                MCUGEN_DENSE_TWO("r11", "r5", "r9", "lr")
/* The first two words one by one: behind the inputs' load a cycle less than by one instruction. */
#define MCUGEN_DENSE_STEP   \
    "ldr r10, [r0], #4\n\t" \
    "ldr r12, [r1], #8\n\t" \
    "ldr lr, [r1, #-4]\n\t" MCUGEN_DENSE_FOUR
/* Up to the loop over blocks of channels, whose record r10 then is. */
#define MCUGEN_DENSE_ENTER   \
    "push {r4-r11, lr}\n\t"  \
    "mov r3, %0\n\t"         \
    "ldr r1, [r3, #4]\n\t"   \
    "ldr r2, [r3, #8]\n\t"   \
    "push {r1-r3}\n\t"       \
    "1:\n\t"                 \
    "ldr r10, [r3, #16]\n\t" \
    "ldr r1, [r3, #12]\n\t"  \
    "ldr r0, [r3, #0]\n\t"
/* The sums from their first values on; then r0 is the structure, r12 `channels`, lr the rounding. */
#define MCUGEN_DENSE_SUMS                                                                               \
    "ldr r12, [sp, #0]\n\t"                                                                             \
    "cmp r0, r12\n\t"                                                                                   \
    "beq 3f\n\t"                                                                                        \
    "2:\n\t" /* sixteen inputs */                                                                       \
        MCUGEN_DENSE_STEP MCUGEN_DENSE_STEP MCUGEN_DENSE_STEP MCUGEN_DENSE_STEP "ldr r12, [sp, #0]\n\t" \
    "cmp r0, r12\n\t"                                                                                   \
    "bne 2b\n\t"                                                                                        \
    "3:\n\t"                                                                                            \
    "ldr r12, [sp, #4]\n\t"                                                                             \
    "cmp r0, r12\n\t"                                                                                   \
    "beq 4f\n\t" MCUGEN_DENSE_STEP "b 3b\n\t"                                                           \
    "4:\n\t"                                                                                            \
    "ldr r0, [sp, #8]\n\t"                                                                              \
    "ldr r12, [r0, #36]\n\t"                                                                            \
    "cmp r12, #0\n\t"                                                                                   \
    "beq 5f\n\t"                                                                                        \
    "ldr r10, [r0, #32]\n\t"                                                                            \
    "ldr r12, [r1], #8\n\t"                                                                             \
    "ldr lr, [r1, #-4]\n\t" MCUGEN_DENSE_FOUR "5:\n\t"                                                  \
    "ldr r12, [r0, #16]\n\t"                                                                            \
    "ldr lr, [r0, #28]\n\t"                                                                             \
    "str r1, [r0, #12]\n\t" MCUGEN_DENSE_APART("r2", "r6") MCUGEN_DENSE_APART("r3", "r7")               \
        MCUGEN_DENSE_APART("r4", "r8") MCUGEN_DENSE_APART("r5", "r9")
/* A sum of two channels and the first one's to twice both sums. */
#define MCUGEN_DENSE_APART(both, first)     \
    "sub " both ", " both ", " first "\n\t" \
    "lsl " first ", " first ", #1\n\t"      \
    "asr " both ", " both ", #7\n\t"
/* Stores the bytes r6, r2, r7, r3, r8, r4, r9, r5 and goes on to the next block, whose record is r12. */
#define MCUGEN_DENSE_STORE   \
    "str r12, [r0, #16]\n\t" \
    "ldr r10, [r0, #20]\n\t" \
    "ldr r12, [r0, #24]\n\t" \
    "strb r2, [r10, #1]\n\t" \
    "strb r7, [r10, #2]\n\t" \
    "strb r3, [r10, #3]\n\t" \
    "strb r8, [r10, #4]\n\t" \
    "strb r4, [r10, #5]\n\t" \
    "strb r9, [r10, #6]\n\t" \
    "strb r5, [r10, #7]\n\t" \
    "strb r6, [r10], #8\n\t" \
    "str r10, [r0, #20]\n\t" \
    "mov r3, r0\n\t"         \
    "subs r12, r12, #1\n\t"  \
    "str r12, [r0, #24]\n\t" \
    "bne 1b\n\t"             \
    "add sp, sp, #12\n\t"    \
    "pop {r4-r11, lr}\n\t"
#else
/* Sums over all inputs of the first of two channels, and of that plus 256 times the second one, from their first values
 * on; w: the first of their words. */
static inline void mcugen_dense_two(const mcugen_dense_t *dense, const uint32_t *w, int32_t *first,
                                    int32_t *both)
{
    const int32_t words = (int32_t)(dense->end - dense->x) / 4 + dense->has_rest;
    for (int32_t i = 0; i < words; ++i) {
        const int8_t *at = dense->x + 4 * i;
        const uint32_t x = at == dense->end ? dense->rest : mcugen_load_word(at);
        *both = mcugen_smlad(mcugen_sxtb16(x), w[0], *both);
        *first = mcugen_smlad(mcugen_sxtb16(x), mcugen_sxtb16(w[0]), *first);
        *both = mcugen_smlad(mcugen_sxtb16_ror8(x), w[4], *both);
        *first = mcugen_smlad(mcugen_sxtb16_ror8(x), mcugen_sxtb16(w[4]), *first);
        w += 8;
    }
}

/* On to the next eight channels, whose records take so many words. */
static inline void mcugen_dense_next(mcugen_dense_t *dense, int32_t words)
{
    dense->y += 8;
    dense->weights += 8 * ((int32_t)(dense->end - dense->x) / 4 + dense->has_rest);
    dense->channels += words;
}
#endif

/* y[c] of 8 * blocks channels c. Weights and channels as for mcugen_gemm_raw: four words of channels 0 and 1, 2 and 3, 4
 * and 5, 6 and 7 with inputs 0 and 2, then four with inputs 1 and 3. */
MCUGEN_DSP_FUNCTION void mcugen_dense_raw(mcugen_dense_t *dense)
{
#if MCUGEN_DSP_INSTRUCTIONS
#define MCUGEN_CHANNEL(a, word, multiplier) \
    "ldr r10, [r12, #" word "]\n\t"         \
    "ldr r11, [r12, #" multiplier "]\n\t"   \
    "lsl r1, lr, r10\n\t"                   \
    "add r1, r1, " a ", asr #31\n\t"        \
    "smmlar " a ", " a ", r11, r1\n\t"      \
    "asr " a ", " a ", r10\n\t"             \
    "ssat " a ", #8, " a ", asr #1\n\t"
    __asm volatile(MCUGEN_DENSE_ENTER
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
                   "add r5, r5, r9\n\t" MCUGEN_DENSE_SUMS MCUGEN_CHANNEL("r6", "0", "4")
                       MCUGEN_CHANNEL("r2", "8", "12") MCUGEN_CHANNEL("r7", "16", "20")
                           MCUGEN_CHANNEL("r3", "24", "28") MCUGEN_CHANNEL("r8", "32", "36")
                               MCUGEN_CHANNEL("r4", "40", "44") MCUGEN_CHANNEL("r9", "48", "52")
                                   MCUGEN_CHANNEL("r5", "56", "60") "add r12, r12, #64\n\t" MCUGEN_DENSE_STORE
                   :
                   : "r"(dense)
                   : "r0", "r1", "r2", "r3", "r12", "cc", "memory");
#undef MCUGEN_CHANNEL
#else
    for (; dense->blocks > 0; --dense->blocks) {
        for (int32_t k = 0; k < 8; k += 2) {
            const int32_t *channel = dense->channels + 2 * k;
            int32_t first = channel[0] >> 8;
            int32_t both = mcugen_wrapping_add(first, channel[2]);
            mcugen_dense_two(dense, dense->weights + k / 2, &first, &both);
            const int32_t second = mcugen_wrapping_add(both, ~first + 1) >> 8;
            dense->y[k] =
                (int8_t)mcugen_requantize_short(first, channel[1], -(channel[0] & 255) - 1, dense->rounding);
            dense->y[k + 1] =
                (int8_t)mcugen_requantize_short(second, channel[3], -(channel[2] & 255) - 1, dense->rounding);
        }
        mcugen_dense_next(dense, 16);
    }
#endif
}

/* The same with one multiplier and shift for all channels: `rounding` is (2 * zero point + 1) * 2^less_one. Eight words
 * for eight channels: the first values of both sums of 0 and 1, 2 and 3, 4 and 5, 6 and 7, then of 0, 2, 4 and 6 alone. */
MCUGEN_DSP_FUNCTION void mcugen_dense_shared(mcugen_dense_t *dense)
{
#if MCUGEN_DSP_INSTRUCTIONS
#define MCUGEN_CHANNEL(a)              \
    "add r1, lr, " a ", asr #31\n\t"   \
    "smmlar " a ", " a ", r11, r1\n\t" \
    "asr " a ", " a ", r10\n\t"        \
    "ssat " a ", #8, " a ", asr #1\n\t"
    __asm volatile(MCUGEN_DENSE_ENTER "add r12, r10, #32\n\t"
                                      "str r12, [r3, #16]\n\t"
                                      "ldmia r10, {r2-r9}\n\t" MCUGEN_DENSE_SUMS "ldr r10, [r0, #40]\n\t"
                                      "ldr r11, [r0, #44]\n\t" MCUGEN_CHANNEL("r6") MCUGEN_CHANNEL("r2")
                                          MCUGEN_CHANNEL("r7") MCUGEN_CHANNEL("r3") MCUGEN_CHANNEL("r8")
                                              MCUGEN_CHANNEL("r4") MCUGEN_CHANNEL("r9") MCUGEN_CHANNEL("r5")
                                                  MCUGEN_DENSE_STORE
                   :
                   : "r"(dense)
                   : "r0", "r1", "r2", "r3", "r12", "cc", "memory");
#undef MCUGEN_CHANNEL
#else
    for (; dense->blocks > 0; --dense->blocks) {
        for (int32_t k = 0; k < 8; k += 2) {
            int32_t both = dense->channels[k / 2];
            int32_t first = dense->channels[4 + k / 2];
            mcugen_dense_two(dense, dense->weights + k / 2, &first, &both);
            const int32_t second = mcugen_wrapping_add(both, ~first + 1) >> 8;
            const int32_t rounding = dense->rounding >> dense->less_one;
            dense->y[k] =
                (int8_t)mcugen_requantize_short(first, dense->multiplier, -dense->less_one - 1, rounding);
            dense->y[k + 1] =
                (int8_t)mcugen_requantize_short(second, dense->multiplier, -dense->less_one - 1, rounding);
        }
        mcugen_dense_next(dense, 8);
    }
#endif
}

#endif
