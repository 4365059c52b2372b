/* SPDX-License-Identifier: 0BSD */
/* mcugen_gemm_dsp.h - products of matrices for the DSP extension: two columns of int16 inputs times weights, four
 * output channels at a time.
 *
 * Columns: word 2i holds two inputs of the first pixel, word 2i + 1 the same two of the second one. */
#ifndef MCUGEN_GEMM_DSP_H
#define MCUGEN_GEMM_DSP_H

#include "mcugen_output_dsp.h"

/* Columns of `pairs` pairs, at least one, end at `end`. What is written is advanced: weights, channels, y. y[0] may equal
 * y[1] where there is one pixel alone. */
typedef struct {
    const mcugen_aligned_word_t *columns, *end;
    int32_t skip; /* mcugen_gemm_skip of the pairs */
    const uint32_t *weights;
    const int32_t *channels;
    int8_t *y[2];
    int32_t blocks;
    int32_t rounding; /* 2 * zero point + 1 */
} mcugen_gemm_t;

/* The inner loop takes eight pairs at a time and begins in its middle; one pair is 56 bytes of code. */
static inline int32_t mcugen_gemm_skip(int32_t pairs)
{
    return (-pairs & 7) * 56;
}

/* n bytes of two pixels as pairs of int16, by fours in the order 0, 2, 1, 3: what two SXTB16 make of a word. Of an odd n
 * the last half is 0. Gives where the next pair goes. */
MCUGEN_DSP_FUNCTION mcugen_aligned_word_t *mcugen_gather(const int8_t *x, const int8_t *x2,
                                                         mcugen_aligned_word_t *column, int32_t n)
{
    for (; n >= 8; n -= 8) {
        const uint32_t a = mcugen_load_word(x), b = mcugen_load_word(x2);
        const uint32_t c = mcugen_load_word(x + 4), d = mcugen_load_word(x2 + 4);
        x += 8;
        x2 += 8;
        column[0] = mcugen_sxtb16(a);
        column[1] = mcugen_sxtb16(b);
        column[2] = mcugen_sxtb16_ror8(a);
        column[3] = mcugen_sxtb16_ror8(b);
        column[4] = mcugen_sxtb16(c);
        column[5] = mcugen_sxtb16(d);
        column[6] = mcugen_sxtb16_ror8(c);
        column[7] = mcugen_sxtb16_ror8(d);
        column += 8;
    }
    if (n >= 4) {
        const uint32_t a = mcugen_load_word(x), b = mcugen_load_word(x2);
        n -= 4;
        x += 4;
        x2 += 4;
        column[0] = mcugen_sxtb16(a);
        column[1] = mcugen_sxtb16(b);
        column[2] = mcugen_sxtb16_ror8(a);
        column[3] = mcugen_sxtb16_ror8(b);
        column += 4;
    }
    if (n >= 2) {
        column[0] = mcugen_halves(x[0], x[1]);
        column[1] = mcugen_halves(x2[0], x2[1]);
        n -= 2;
        x += 2;
        x2 += 2;
        column += 2;
    }
    if (n != 0) {
        column[0] = mcugen_halves(x[0], 0);
        column[1] = mcugen_halves(x2[0], 0);
        column += 2;
    }
    return column;
}

/* n bytes of one value; n bytes of other ones. */
MCUGEN_DSP_FUNCTION void mcugen_fill(int8_t *to, int32_t value, int32_t n)
{
    const uint32_t four = UINT32_C(0x01010101) * ((uint32_t)value & 255u);
    for (; n >= 4; n -= 4) {
        mcugen_store_word(to, four);
        to += 4;
    }
    for (; n > 0; --n) {
        *to++ = (int8_t)value;
    }
}

MCUGEN_DSP_FUNCTION void mcugen_copy(int8_t *to, const int8_t *from, int32_t n)
{
    for (; n >= 4; n -= 4) {
        mcugen_store_word(to, mcugen_load_word(from));
        to += 4;
        from += 4;
    }
    for (; n > 0; --n) {
        *to++ = *from++;
    }
}

/* y[p][c] of two pixels p for 4 * blocks channels c. Weights hold two channels in a half, H = w[0] + 256 * w[1]: a sum
 * of products with H is the first channel's sum plus 256 times the second one's, and the low byte alone, sign-extended,
 * gives the first. The second one's is exact while |acc| < 2^23. Per channel: bias * 256 + right shift (1 to 22), then
 * the multiplier. */
MCUGEN_DSP_FUNCTION void mcugen_gemm_raw(mcugen_gemm_t *gemm)
{
#if MCUGEN_DSP_INSTRUCTIONS
/* r0 columns, r1 weights, r2 to r9 sums of both pixels: both channels, the first, both, the first; r10 and r11 inputs. */
#define MCUGEN_PAIR              \
    "ldr r10, [r0], #8\n\t"      \
    "ldr r11, [r0, #-4]\n\t"     \
    "ldr r12, [r1], #8\n\t"      \
    "ldr lr, [r1, #-4]\n\t"      \
    "smlad r2, r10, r12, r2\n\t" \
    "smlad r3, r11, r12, r3\n\t" \
    "sxtb16 r12, r12\n\t"        \
    "smlad r6, r10, lr, r6\n\t"  \
    "smlad r7, r11, lr, r7\n\t"  \
    "sxtb16 lr, lr\n\t"          \
    "smlad r4, r10, r12, r4\n\t" \
    "smlad r5, r11, r12, r5\n\t" \
    "smlad r8, r10, lr, r8\n\t"  \
    "smlad r9, r11, lr, r9\n\t"
/* Twice the sums a and b of both pixels to bytes; e: word of the bias and the shift, which shifts take their lowest byte
 * of; m: multiplier; lr rounding. Whether the product is negative may be asked of the sum: one that rounds to 0 gives 0
 * either way. */
#define MCUGEN_CHANNEL(a, b, e, m)       \
    "lsl r0, lr, " e "\n\t"              \
    "asr r0, r0, #1\n\t"                 \
    "add r3, r0, " a ", asr #31\n\t"     \
    "add r0, r0, " b ", asr #31\n\t"     \
    "smmlar " a ", " a ", " m ", r3\n\t" \
    "smmlar " b ", " b ", " m ", r0\n\t" \
    "asr " a ", " a ", " e "\n\t"        \
    "asr " b ", " b ", " e "\n\t"        \
    "ssat " a ", #8, " a "\n\t"          \
    "ssat " b ", #8, " b "\n\t"
    /* No operand but the structure, and all that must be kept is pushed: any compiler has registers left. */
    __asm volatile(
        "push {r4-r11, lr}\n\t"
        "mov r3, %0\n\t"
        "adr.w r1, 2f\n\t"
        "ldr r2, [r3, #8]\n\t"
        "ldr r0, [r3, #4]\n\t"
        "add r1, r1, r2\n\t"
        "add r1, r1, #1\n\t" /* an address in Thumb code */
        "mov r2, r0\n\t"
        "push {r1-r3}\n\t"
        "1:\n\t"
        "ldr r10, [r3, #16]\n\t"
        "ldr r1, [r3, #12]\n\t"
        "ldr r0, [r3, #0]\n\t"
        "ldr r4, [r10, #0]\n\t"
        "ldr r2, [r10, #8]\n\t"
        "ldr r8, [r10, #16]\n\t"
        "ldr r6, [r10, #24]\n\t"
        "asr r4, r4, #8\n\t"
        "add r2, r2, r4\n\t"
        "asr r8, r8, #8\n\t"
        "add r6, r6, r8\n\t"
        "mov r3, r2\n\t"
        "mov r5, r4\n\t"
        "mov r7, r6\n\t"
        "mov r9, r8\n\t"
        "ldr pc, [sp, #0]\n\t"
        "2:\n\t" MCUGEN_PAIR MCUGEN_PAIR MCUGEN_PAIR MCUGEN_PAIR MCUGEN_PAIR MCUGEN_PAIR
            MCUGEN_PAIR MCUGEN_PAIR "ldr r12, [sp, #4]\n\t"
        "cmp r0, r12\n\t"
        "bne 2b\n\t"
        /* twice the sums; both channels' without the first's */
        "ldr r0, [sp, #8]\n\t"
        "sub r2, r2, r4\n\t"
        "sub r3, r3, r5\n\t"
        "sub r6, r6, r8\n\t"
        "sub r7, r7, r9\n\t"
        "ldr r12, [r0, #16]\n\t"
        "ldr lr, [r0, #32]\n\t"
        "str r1, [r0, #12]\n\t"
        "lsl r4, r4, #1\n\t"
        "lsl r5, r5, #1\n\t"
        "lsl r8, r8, #1\n\t"
        "lsl r9, r9, #1\n\t"
        "asr r2, r2, #7\n\t"
        "asr r1, r3, #7\n\t"
        "asr r6, r6, #7\n\t"
        "asr r7, r7, #7\n\t"
        "ldr r10, [r12], #8\n\t"
        "ldr r11, [r12, #-4]\n\t" MCUGEN_CHANNEL(
            "r4", "r5", "r10",
            "r11") "ldr r10, [r12], #8\n\t"
                   "ldr r11, [r12, #-4]\n\t" MCUGEN_CHANNEL(
                       "r2", "r1", "r10",
                       "r11") "ldr r10, [r12], #8\n\t"
                              "ldr r11, [r12, #-4]\n\t" MCUGEN_CHANNEL(
                                  "r8", "r9", "r10",
                                  "r11") "ldr r10, [r12], #8\n\t"
                                         "ldr r11, [r12, #-4]\n\t" MCUGEN_CHANNEL(
                                             "r6", "r7", "r10",
                                             "r11") "ldr r3, [sp, #8]\n\t"
                                                    "ldr r10, [r3, #20]\n\t"
                                                    "ldr r11, [r3, #24]\n\t"
                                                    "ldr r0, [r3, #28]\n\t"
                                                    "str r12, [r3, #16]\n\t"
                                                    "strb r1, [r11, #1]\n\t" /* the second pixel first: they may be in one place */
                                                    "strb r9, [r11, #2]\n\t"
                                                    "strb r7, [r11, #3]\n\t"
                                                    "strb r5, [r11], #4\n\t"
                                                    "strb r2, [r10, #1]\n\t"
                                                    "strb r8, [r10, #2]\n\t"
                                                    "strb r6, [r10, #3]\n\t"
                                                    "strb r4, [r10], #4\n\t"
                                                    "str r10, [r3, #20]\n\t"
                                                    "str r11, [r3, #24]\n\t"
                                                    "subs r0, r0, #1\n\t"
                                                    "str r0, [r3, #28]\n\t"
                                                    "bne 1b\n\t"
                                                    "add sp, sp, #12\n\t"
                                                    "pop {r4-r11, lr}\n\t"
        :
        : "r"(gemm)
        : "r0", "r1", "r2", "r3", "r12", "cc", "memory");
#undef MCUGEN_PAIR
#undef MCUGEN_CHANNEL
#else
    for (; gemm->blocks > 0; --gemm->blocks) {
        int8_t bytes[2][4];
        for (int32_t p = 0; p < 2; ++p) {
            const uint32_t *w = gemm->weights;
            for (int32_t k = 0; k < 4; k += 2) {
                const int32_t *channel = gemm->channels + 2 * k;
                int32_t first = channel[0] >> 8;
                int32_t both = mcugen_wrapping_add(first, channel[2]);
                w = gemm->weights + k / 2;
                for (const mcugen_aligned_word_t *x = gemm->columns + p; x < gemm->end; x += 2) {
                    both = mcugen_smlad(*x, *w, both);
                    first = mcugen_smlad(*x, mcugen_sxtb16(*w), first);
                    w += 2;
                }
                const int32_t second = mcugen_wrapping_add(both, ~first + 1) >> 8;
                bytes[p][k] =
                    (int8_t)mcugen_requantize_short(first, channel[1], -(channel[0] & 255), gemm->rounding);
                bytes[p][k + 1] =
                    (int8_t)mcugen_requantize_short(second, channel[3], -(channel[2] & 255), gemm->rounding);
            }
        }
        for (int32_t p = 1; p >= 0; --p) {
            for (int32_t k = 0; k < 4; ++k) {
                gemm->y[p][k] = bytes[p][k];
            }
            gemm->y[p] += 4;
        }
        gemm->weights += gemm->end - gemm->columns;
        gemm->channels += 8;
    }
#endif
}

/* The sums of four channels of both pixels, [p][c], without bias, for any weights: two channels' bytes side by side,
 * w[0][k], w[1][k], w[0][k + 1], w[1][k + 1]. */
MCUGEN_DSP_FUNCTION void mcugen_gemm_sums(mcugen_gemm_t *gemm, int32_t sums[8])
{
    const uint32_t *w = gemm->weights;
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0, s4 = 0, s5 = 0, s6 = 0, s7 = 0;
    for (const mcugen_aligned_word_t *x = gemm->columns; x != gemm->end; x += 2) {
        const uint32_t p = x[0], q = x[1], a = w[0], b = w[1];
        w += 2;
        const uint32_t a0 = mcugen_sxtb16(a), a1 = mcugen_sxtb16_ror8(a);
        s0 = mcugen_smlad(p, a0, s0);
        s1 = mcugen_smlad(p, a1, s1);
        s4 = mcugen_smlad(q, a0, s4);
        s5 = mcugen_smlad(q, a1, s5);
        const uint32_t b0 = mcugen_sxtb16(b), b1 = mcugen_sxtb16_ror8(b);
        s2 = mcugen_smlad(p, b0, s2);
        s3 = mcugen_smlad(p, b1, s3);
        s6 = mcugen_smlad(q, b0, s6);
        s7 = mcugen_smlad(q, b1, s7);
    }
    gemm->weights = w;
    sums[0] = s0;
    sums[1] = s1;
    sums[2] = s2;
    sums[3] = s3;
    sums[4] = s4;
    sums[5] = s5;
    sums[6] = s6;
    sums[7] = s7;
}

#endif
