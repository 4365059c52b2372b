/* SPDX-License-Identifier: 0BSD */
/* mcugen_gemm_dsp.h - products of matrices for the DSP extension: two columns of int16 inputs times weights, four
 * output channels at a time.
 *
 * Columns: word 2i holds two inputs of the first pixel, word 2i + 1 the same two of the second one. */
#ifndef MCUGEN_GEMM_DSP_H
#define MCUGEN_GEMM_DSP_H

#include "mcugen_output_affine.h"
#include "mcugen_output_dsp.h"

/* What mcugen_gemm_raw computes. Columns of some pairs of inputs, at least one, lie from `columns` to `end`, and those of
 * the next two pixels behind them. */
typedef struct {
    const mcugen_aligned_word_t *columns, *end;
    int32_t skip; /* mcugen_gemm_skip of the pairs of inputs */
    const uint32_t *weights;
    const int32_t *channels, *channels_end; /* eight words for four channels, at least four of them */
    int8_t *y[2];                           /* outputs of both pixels; equal where there is one pixel alone */
    int32_t rounding;                       /* 2 * zero point + 1 */
    int32_t pixels;                         /* twos of them, counted down to 0 */
    int32_t column_bytes;
    int32_t y_next; /* from the end of both pixels' outputs to the next ones */
} mcugen_gemm_t;

/* The inner loop takes sixteen pairs at a time and begins in its middle; one pair is 56 bytes of code. */
static inline int32_t mcugen_gemm_skip(int32_t pairs)
{
    return (-pairs & 15) * 56;
}

/* Four inputs of both pixels: pairs in the order 0, 2 and 1, 3, which is what two SXTB16 make of a word. */
static inline void mcugen_gather_four(const int8_t *x, const int8_t *x2, mcugen_aligned_word_t *column)
{
    const uint32_t a = mcugen_load_word(x), b = mcugen_load_word(x2);
    column[0] = mcugen_sxtb16(a);
    column[1] = mcugen_sxtb16(b);
    column[2] = mcugen_sxtb16_ror8(a);
    column[3] = mcugen_sxtb16_ror8(b);
}

static inline void mcugen_gather_eight(const int8_t *x, const int8_t *x2, mcugen_aligned_word_t *column)
{
    const uint32_t a = mcugen_load_word(x), b = mcugen_load_word(x2);
    const uint32_t c = mcugen_load_word(x + 4), d = mcugen_load_word(x2 + 4);
    column[0] = mcugen_sxtb16(a);
    column[1] = mcugen_sxtb16(b);
    column[2] = mcugen_sxtb16_ror8(a);
    column[3] = mcugen_sxtb16_ror8(b);
    column[4] = mcugen_sxtb16(c);
    column[5] = mcugen_sxtb16(d);
    column[6] = mcugen_sxtb16_ror8(c);
    column[7] = mcugen_sxtb16_ror8(d);
}

/* `rows` runs of n bytes, `step` bytes from one to the next, of two pixels, whose runs are `far` bytes apart; as pairs of
 * int16, the rest of n by four as it comes, the last half of an odd n 0. Gives where the next pair goes. */
static inline mcugen_aligned_word_t *mcugen_gather_inline(const int8_t *x, int32_t far, int32_t step,
                                                          int32_t rows, mcugen_aligned_word_t *column,
                                                          int32_t n)
{
    const int8_t *x2 = x + far;
    do {
        int32_t left = n;
        for (; left >= 16; left -= 16) {
            mcugen_gather_eight(x, x2, column);
            mcugen_gather_eight(x + 8, x2 + 8, column + 8);
            x += 16;
            x2 += 16;
            column += 16;
        }
        if (left >= 8) {
            left -= 8;
            mcugen_gather_eight(x, x2, column);
            x += 8;
            x2 += 8;
            column += 8;
        }
        if (left >= 4) {
            left -= 4;
            mcugen_gather_four(x, x2, column);
            x += 4;
            x2 += 4;
            column += 4;
        }
        if (left != 0) {
            column[0] = mcugen_halves(x[0], left > 1 ? x[1] : 0);
            column[1] = mcugen_halves(x2[0], left > 1 ? x2[1] : 0);
            column += 2;
            if (left == 3) {
                column[0] = mcugen_halves(x[2], 0);
                column[1] = mcugen_halves(x2[2], 0);
                column += 2;
            }
            x += left;
            x2 += left;
        }
        x += step - n;
        x2 += step - n;
    } while (--rows > 0);
    return column;
}

MCUGEN_DSP_FUNCTION mcugen_aligned_word_t *mcugen_gather(const int8_t *x, int32_t far, int32_t step,
                                                         int32_t rows, mcugen_aligned_word_t *column,
                                                         int32_t n)
{
    return mcugen_gather_inline(x, far, step, rows, column, n);
}

/* n bytes of one value; n bytes of other ones. */
MCUGEN_DSP_FUNCTION void mcugen_fill(int8_t *to, int32_t value, int32_t n)
{
    const uint32_t four = UINT32_C(0x01010101) * ((uint32_t)value & 255u);
    for (; n >= 4; n -= 4) {
        mcugen_store_word(to, four);
        to += 4;
    }
    if (n > 0) { /* no loop: compilers would call memset */
        to[0] = (int8_t)value;
        if (n > 1) {
            to[1] = (int8_t)value;
        }
        if (n > 2) {
            to[2] = (int8_t)value;
        }
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

#if MCUGEN_DSP_INSTRUCTIONS
/* Parts of the two functions below. r0 columns, r1 weights, r2 to r9 sums of both pixels: of both channels, of the first,
 * of both, of the first; r10 and r11 inputs. All operands come in a structure, and all that must be kept is pushed: any
 * compiler has registers left. */
#define MCUGEN_GEMM_PAIR         \
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
#define MCUGEN_GEMM_FOUR MCUGEN_GEMM_PAIR MCUGEN_GEMM_PAIR MCUGEN_GEMM_PAIR MCUGEN_GEMM_PAIR
/* Up to the loop over pixels. On the stack: columns, weights, room for two words, the record. ADR counts from a multiple of
 * four bytes, where a function need not begin. */
#define MCUGEN_GEMM_ENTER                               \
    "push {r4-r11, lr}\n\t"                             \
    "sub sp, sp, #48\n\t"                               \
    "mov r3, %0\n\t"                                    \
    ".p2align 2\n\t"                                    \
    "adr.w r0, 2f\n\t"                                  \
    "ldr r2, [r3, #8]\n\t"                              \
    "ldr r4, [r3, #0]\n\t"                              \
    "ldr r5, [r3, #4]\n\t"                              \
    "ldr r6, [r3, #20]\n\t"                             \
    "ldr r7, [r3, #24]\n\t"                             \
    "ldr r8, [r3, #28]\n\t"                             \
    "ldr r9, [r3, #32]\n\t"                             \
    "add r0, r0, r2\n\t"                                \
    "add r0, r0, #1\n\t" /* an address in Thumb code */ \
    "str r0, [sp, #20]\n\t"                             \
    "str r5, [sp, #24]\n\t"                             \
    "str r3, [sp, #28]\n\t"                             \
    "str r4, [sp, #0]\n\t"                              \
    "str r7, [sp, #32]\n\t"                             \
    "str r8, [sp, #36]\n\t"                             \
    "str r6, [sp, #40]\n\t"                             \
    "str r9, [sp, #44]\n\t"
/* Up to the loop over channels. */
#define MCUGEN_GEMM_PIXELS    \
    "3:\n\t" /* two pixels */ \
    "ldr r1, [r3, #12]\n\t"   \
    "ldr r2, [r3, #16]\n\t"   \
    "str r1, [sp, #4]\n\t"    \
    "str r2, [sp, #16]\n\t"   \
    "1:\n\t" /* four channels */
/* The sums, from those of the first pixel on; then r12 is the record. */
#define MCUGEN_GEMM_SUMS                                                                                  \
    "mov r3, r2\n\t"                                                                                      \
    "mov r5, r4\n\t"                                                                                      \
    "mov r7, r6\n\t"                                                                                      \
    "mov r9, r8\n\t"                                                                                      \
    "ldr pc, [sp, #20]\n\t"                                                                               \
    "2:\n\t" MCUGEN_GEMM_FOUR MCUGEN_GEMM_FOUR MCUGEN_GEMM_FOUR MCUGEN_GEMM_FOUR "ldr r12, [sp, #24]\n\t" \
    "cmp r0, r12\n\t"                                                                                     \
    "bne 2b\n\t"                                                                                          \
    "ldr r12, [sp, #16]\n\t"                                                                              \
    "str r1, [sp, #4]\n\t"
/* Bytes of the first pixel in r4, r2, r8, r6, of the second one in r5, `other`, r9, r7; the next record is r12. */
#define MCUGEN_GEMM_STORE(other)                                                           \
    "ldr r10, [sp, #32]\n\t"                                                               \
    "ldr r11, [sp, #36]\n\t"                                                               \
    "ldr r0, [sp, #40]\n\t"                                                                \
    "str r12, [sp, #16]\n\t"                                                               \
    "strb " other ", [r11, #1]\n\t" /* the second pixel first: they may be in one place */ \
    "strb r9, [r11, #2]\n\t"                                                               \
    "strb r7, [r11, #3]\n\t"                                                               \
    "strb r5, [r11], #4\n\t"                                                               \
    "strb r2, [r10, #1]\n\t"                                                               \
    "strb r8, [r10, #2]\n\t"                                                               \
    "strb r6, [r10, #3]\n\t"                                                               \
    "strb r4, [r10], #4\n\t"                                                               \
    "str r10, [sp, #32]\n\t"                                                               \
    "str r11, [sp, #36]\n\t"                                                               \
    "cmp r12, r0\n\t"                                                                      \
    "bne 1b\n\t"                                                                           \
    "ldr r3, [sp, #28]\n\t"                                                                \
    "ldr r1, [sp, #24]\n\t"                                                                \
    "ldr r0, [r3, #36]\n\t"                                                                \
    "ldr r2, [r3, #40]\n\t"                                                                \
    "ldr r4, [r3, #44]\n\t"                                                                \
    "str r1, [sp, #0]\n\t"                                                                 \
    "add r1, r1, r2\n\t"                                                                   \
    "str r1, [sp, #24]\n\t"                                                                \
    "add r10, r10, r4\n\t"                                                                 \
    "str r10, [sp, #32]\n\t"                                                               \
    "add r11, r11, r4\n\t"                                                                 \
    "str r11, [sp, #36]\n\t"                                                               \
    "subs r0, r0, #1\n\t"                                                                  \
    "str r0, [r3, #36]\n\t"                                                                \
    "bne 3b\n\t"                                                                           \
    "add sp, sp, #48\n\t"                                                                  \
    "pop {r4-r11, lr}\n\t"
/* Twice the sums a and b of both pixels to bytes. r10: e - 1 in its lowest byte, which is what shifts take; r11 the
 * multiplier, lr the rounding. Whether the product is negative may be asked of the sum: one that rounds to 0 gives 0
 * either way. */
#define MCUGEN_GEMM_CHANNEL(a, b)       \
    "ldr r10, [r12], #8\n\t"            \
    "ldr r11, [r12, #-4]\n\t"           \
    "lsl r0, lr, r10\n\t"               \
    "add r3, r0, " a ", asr #31\n\t"    \
    "add r0, r0, " b ", asr #31\n\t"    \
    "smmlar " a ", " a ", r11, r3\n\t"  \
    "smmlar " b ", " b ", r11, r0\n\t"  \
    "asr " a ", " a ", r10\n\t"         \
    "asr " b ", " b ", r10\n\t"         \
    "ssat " a ", #8, " a ", asr #1\n\t" \
    "ssat " b ", #8, " b ", asr #1\n\t"
/* All of mcugen_gemm_raw; `sums` adds products to first values, as MCUGEN_GEMM_SUMS does. */
#define MCUGEN_GEMM_RAW(sums)                                                                \
    MCUGEN_GEMM_ENTER MCUGEN_GEMM_PIXELS                                                     \
        "ldr r10, [sp, #16]\n\t"                                                             \
        "ldr r1, [sp, #4]\n\t"                                                               \
        "ldr r0, [sp, #0]\n\t"                                                               \
        "ldr r4, [r10, #0]\n\t"                                                              \
        "ldr r2, [r10, #8]\n\t"                                                              \
        "ldr r8, [r10, #16]\n\t"                                                             \
        "ldr r6, [r10, #24]\n\t"                                                             \
        "asr r4, r4, #8\n\t"                                                                 \
        "add r2, r2, r4\n\t"                                                                 \
        "asr r8, r8, #8\n\t"                                                                 \
        "add r6, r6, r8\n\t" sums                                                            \
        "ldr lr, [sp, #44]\n\t" /* twice the sums; both channels' without the first's */     \
        "sub r2, r2, r4\n\t"                                                                 \
        "sub r3, r3, r5\n\t"                                                                 \
        "sub r6, r6, r8\n\t"                                                                 \
        "sub r7, r7, r9\n\t"                                                                 \
        "lsl r4, r4, #1\n\t"                                                                 \
        "lsl r5, r5, #1\n\t"                                                                 \
        "lsl r8, r8, #1\n\t"                                                                 \
        "lsl r9, r9, #1\n\t"                                                                 \
        "asr r2, r2, #7\n\t"                                                                 \
        "asr r1, r3, #7\n\t"                                                                 \
        "asr r6, r6, #7\n\t"                                                                 \
        "asr r7, r7, #7\n\t" MCUGEN_GEMM_CHANNEL("r4", "r5") MCUGEN_GEMM_CHANNEL("r2", "r1") \
            MCUGEN_GEMM_CHANNEL("r8", "r9") MCUGEN_GEMM_CHANNEL("r6", "r7") MCUGEN_GEMM_STORE("r1")
#else
/* A channel's sum for one pixel and that plus 256 times the next channel's, from their first values on. */
static inline void mcugen_gemm_two(const mcugen_gemm_t *gemm, int32_t pixel, const uint32_t *w, int32_t *one,
                                   int32_t *both)
{
    for (const mcugen_aligned_word_t *x = gemm->columns + pixel; x < gemm->end; x += 2) {
        *both = mcugen_smlad(*x, *w, *both);
        *one = mcugen_smlad(*x, mcugen_sxtb16(*w), *one);
        w += 2;
    }
}

/* First values of a channel's sum, and of that plus 256 times the next one's; bytes of sums. See mcugen_gemm_raw. */
static inline void mcugen_gemm_raw_begin(const int32_t *channel, int32_t *one, int32_t *both)
{
    *one = channel[0] >> 8;
    *both = mcugen_wrapping_add(*one, channel[2]);
}

static inline void mcugen_gemm_raw_end(const mcugen_gemm_t *gemm, const int32_t *channel, int32_t one,
                                       int32_t both, int8_t bytes[2])
{
    const int32_t other = mcugen_wrapping_add(both, ~one + 1) >> 8;
    bytes[0] = (int8_t)mcugen_requantize_short(one, channel[1], -(channel[0] & 255) - 1, gemm->rounding);
    bytes[1] = (int8_t)mcugen_requantize_short(other, channel[3], -(channel[2] & 255) - 1, gemm->rounding);
}

/* Four channels' outputs; the second pixel first: both may be in one place. */
static inline void mcugen_gemm_store(mcugen_gemm_t *gemm, int8_t bytes[2][4])
{
    for (int32_t p = 1; p >= 0; --p) {
        for (int32_t k = 0; k < 4; ++k) {
            gemm->y[p][k] = bytes[p][k];
        }
        gemm->y[p] += 4;
    }
}

/* On to the next two pixels. */
static inline void mcugen_gemm_next(mcugen_gemm_t *gemm)
{
    gemm->columns = gemm->end;
    gemm->end += gemm->column_bytes / 4;
    gemm->y[0] += gemm->y_next;
    gemm->y[1] += gemm->y_next;
}
#endif

/* y[p][c] of twos of pixels p. Weights hold two channels in a half, H = w[0] + 256 * w[1]: a sum of products with H is
 * the first channel's sum plus 256 times the second one's, and the low byte alone, sign-extended, gives the first. The
 * second one's is exact while |acc| < 2^23. Per channel: bias * 256 + e - 1 for a right shift of 1 <= e <= 22, then the
 * multiplier. */
MCUGEN_DSP_FUNCTION void mcugen_gemm_raw(mcugen_gemm_t *gemm)
{
#if MCUGEN_DSP_INSTRUCTIONS
    __asm volatile(MCUGEN_GEMM_RAW(MCUGEN_GEMM_SUMS)
                   :
                   : "r"(gemm)
                   : "r0", "r1", "r2", "r3", "r12", "cc", "memory");
#else
    for (; gemm->pixels > 0; --gemm->pixels) {
        const uint32_t *block = gemm->weights;
        for (const int32_t *four = gemm->channels; four != gemm->channels_end; four += 8) {
            int8_t bytes[2][4];
            for (int32_t p = 0; p < 2; ++p) {
                for (int32_t k = 0; k < 4; k += 2) {
                    int32_t one, both;
                    mcugen_gemm_raw_begin(four + 2 * k, &one, &both);
                    mcugen_gemm_two(gemm, p, block + k / 2, &one, &both);
                    mcugen_gemm_raw_end(gemm, four + 2 * k, one, both, bytes[p] + k);
                }
            }
            mcugen_gemm_store(gemm, bytes);
            block += gemm->end - gemm->columns;
        }
        mcugen_gemm_next(gemm);
    }
#endif
}

/* The same where outputs are of mcugen_requantize_affine. Of four channels k there are b[k], bias * 256 plus the offset,
 * and the multipliers m[k]: b[0], m[0], m[1], b[2], m[2], m[3], and b[1], b[3], with which sums of two begin. */
MCUGEN_DSP_FUNCTION void mcugen_gemm_affine(mcugen_gemm_t *gemm)
{
#if MCUGEN_DSP_INSTRUCTIONS
    __asm volatile(MCUGEN_GEMM_ENTER
                   "mov r1, #0\n\t"
                   "str r1, [sp, #8]\n\t"
                   "str r1, [sp, #12]\n\t" MCUGEN_GEMM_PIXELS "ldm sp, {r0, r1, r4, r8, r10}\n\t"
                   "ldr r2, [r10, #24]\n\t"
                   "ldr r6, [r10, #28]\n\t" MCUGEN_GEMM_SUMS "ldmia r12!, {r0, r1, r10, r11, lr}\n\t"
                   "sub r2, r2, r4\n\t"
                   "sub r3, r3, r5\n\t"
                   "sub r6, r6, r8\n\t"
                   "sub r7, r7, r9\n\t"
                   "add r4, r0, r4, lsl #8\n\t"
                   "add r5, r0, r5, lsl #8\n\t"
                   "ldr r0, [r12], #12\n\t"
                   "add r8, r11, r8, lsl #8\n\t"
                   "add r9, r11, r9, lsl #8\n\t"
                   "smmul r4, r4, r1\n\t"
                   "smmul r5, r5, r1\n\t"
                   "smmul r2, r2, r10\n\t"
                   "smmul r3, r3, r10\n\t"
                   "smmul r8, r8, lr\n\t"
                   "smmul r9, r9, lr\n\t"
                   "smmul r6, r6, r0\n\t"
                   "smmul r7, r7, r0\n\t"
                   "ssat r4, #8, r4, asr #11\n\t"
                   "ssat r5, #8, r5, asr #11\n\t"
                   "ssat r2, #8, r2, asr #11\n\t"
                   "ssat r3, #8, r3, asr #11\n\t"
                   "ssat r8, #8, r8, asr #11\n\t"
                   "ssat r9, #8, r9, asr #11\n\t"
                   "ssat r6, #8, r6, asr #11\n\t"
                   "ssat r7, #8, r7, asr #11\n\t" MCUGEN_GEMM_STORE("r3")
                   :
                   : "r"(gemm)
                   : "r0", "r1", "r2", "r3", "r12", "cc", "memory");
#else
    for (; gemm->pixels > 0; --gemm->pixels) {
        const uint32_t *block = gemm->weights;
        for (const int32_t *four = gemm->channels; four != gemm->channels_end; four += 8) {
            int8_t bytes[2][4];
            for (int32_t p = 0; p < 2; ++p) {
                for (int32_t k = 0; k < 4; k += 2) {
                    const int32_t *channel = four + 3 * (k / 2);
                    int32_t one = 0;
                    int32_t both = four[6 + k / 2];
                    mcugen_gemm_two(gemm, p, block + k / 2, &one, &both);
                    const int32_t scaled = mcugen_wrapping_add(mcugen_shift_left(one, 8), channel[0]);
                    bytes[p][k] = (int8_t)mcugen_requantize_affine(scaled, channel[1]);
                    bytes[p][k + 1] =
                        (int8_t)mcugen_requantize_affine(mcugen_wrapping_add(both, ~one + 1), channel[2]);
                }
            }
            mcugen_gemm_store(gemm, bytes);
            block += gemm->end - gemm->columns;
        }
        mcugen_gemm_next(gemm);
    }
#endif
}

/* The sums of four channels of both pixels, [p][c], without bias, of one or more pairs of inputs from x to end, for any
 * weights: two channels' bytes side by side, w[0][k], w[1][k], w[0][k + 1], w[1][k + 1]. Gives where the next weights are.
 */
MCUGEN_DSP_FUNCTION const uint32_t *mcugen_gemm_sums(const mcugen_aligned_word_t *x,
                                                     const mcugen_aligned_word_t *end, const uint32_t *w,
                                                     int32_t sums[8])
{
#if MCUGEN_DSP_INSTRUCTIONS
/* r0 columns, r1 weights, r2 to r9 sums; a pair is 64 bytes of code, of which four make the loop. */
#define MCUGEN_PAIR               \
    "ldr r10, [r0], #8\n\t"       \
    "ldr r11, [r0, #-4]\n\t"      \
    "ldr r12, [r1], #8\n\t"       \
    "sxtb16 lr, r12\n\t"          \
    "sxtb16 r12, r12, ror #8\n\t" \
    "smlad r2, r10, lr, r2\n\t"   \
    "smlad r6, r11, lr, r6\n\t"   \
    "smlad r3, r10, r12, r3\n\t"  \
    "smlad r7, r11, r12, r7\n\t"  \
    "ldr r12, [r1, #-4]\n\t"      \
    "sxtb16 lr, r12\n\t"          \
    "sxtb16 r12, r12, ror #8\n\t" \
    "smlad r4, r10, lr, r4\n\t"   \
    "smlad r8, r11, lr, r8\n\t"   \
    "smlad r5, r10, r12, r5\n\t"  \
    "smlad r9, r11, r12, r9\n\t"
    const int32_t skip = (-(int32_t)(end - x) / 2 & 3) * 64;
    /* One operand: without optimization gcc finds no registers for five. */
    const struct {
        const mcugen_aligned_word_t *x;
        const uint32_t *w;
        const mcugen_aligned_word_t *end;
        int32_t *sums;
        int32_t skip;
    } given = {x, w, end, sums, skip};
    __asm volatile("mov r12, %0\n\t"
                   "ldm r12, {r0-r3, r12}\n\t"
                   "push {r4-r11, lr}\n\t"
                   "push {r2, r3}\n\t"
                   ".p2align 2\n\t"
                   "adr.w lr, 2f\n\t"
                   "add lr, lr, r12\n\t"
                   "add lr, lr, #1\n\t"
                   "mov r2, #0\n\t"
                   "mov r3, #0\n\t"
                   "mov r4, #0\n\t"
                   "mov r5, #0\n\t"
                   "mov r6, #0\n\t"
                   "mov r7, #0\n\t"
                   "mov r8, #0\n\t"
                   "mov r9, #0\n\t"
                   "bx lr\n\t"
                   "2:\n\t" MCUGEN_PAIR MCUGEN_PAIR MCUGEN_PAIR MCUGEN_PAIR "ldr r12, [sp, #0]\n\t"
                   "cmp r0, r12\n\t"
                   "bne 2b\n\t"
                   "ldr r0, [sp, #4]\n\t"
                   "stm r0, {r2-r9}\n\t"
                   "add sp, sp, #8\n\t"
                   "pop {r4-r11, lr}\n\t"
                   :
                   : "r"(&given)
                   : "r0", "r1", "r2", "r3", "r12", "cc", "memory");
#undef MCUGEN_PAIR
#else
    for (int32_t c = 0; c < 4; ++c) {
        int32_t sum = 0, sum2 = 0;
        const uint32_t *word = w + c / 2;
        for (const mcugen_aligned_word_t *at = x; at != end; at += 2) {
            const uint32_t weights = c % 2 != 0 ? mcugen_sxtb16_ror8(*word) : mcugen_sxtb16(*word);
            sum = mcugen_smlad(at[0], weights, sum);
            sum2 = mcugen_smlad(at[1], weights, sum2);
            word += 2;
        }
        sums[c] = sum;
        sums[4 + c] = sum2;
    }
#endif
    return w + (end - x);
}

#endif
