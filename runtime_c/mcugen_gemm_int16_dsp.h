/* SPDX-License-Identifier: 0BSD */
/* mcugen_gemm_int16_dsp.h - products of matrices for the DSP extension: two columns of int16 inputs times int8 weights,
 * four output channels at a time, to int16 outputs.
 *
 * Columns: word 2i holds two inputs of the first pixel, word 2i + 1 the same two of the second one. Weights: for two
 * channels and two inputs the bytes w0[k], w1[k], w0[k + 1], w1[k + 1], which SXTB16 takes apart. */
#ifndef MCUGEN_GEMM_INT16_DSP_H
#define MCUGEN_GEMM_INT16_DSP_H

#include "mcugen_output_int16_dsp.h"
#include "mcugen_wide.h"

/* What mcugen_gemm_int16 computes. Columns of some pairs of inputs, at least one, lie from `columns` to `end`, and those
 * of the next two pixels behind them. */
typedef struct {
    const mcugen_aligned_word_t *columns, *end;
    int32_t skip; /* mcugen_gemm_int16_skip of the pairs of inputs */
    const uint32_t *weights;
    const int32_t *channels, *channels_end; /* records of mcugen_scale_int16, at least one */
    mcugen_int16_t *y[2];                   /* outputs of both pixels; equal where there is one pixel alone */
    int32_t flags;                          /* of mcugen_scale_int16 */
    int32_t pixels;                         /* twos of them, counted down to 0 */
    int32_t column_bytes;
    int32_t y_next; /* elements from the end of both pixels' outputs to the next ones */
} mcugen_gemm_int16_t;

/* The inner loop takes sixteen pairs at a time and begins in its middle; one pair is 64 bytes of code. */
static inline int32_t mcugen_gemm_int16_skip(int32_t pairs)
{
    return (-pairs & 15) * 64;
}

/* Words of one run of n bytes in the columns of both pixels. */
static inline int32_t mcugen_gemm_int16_run(int32_t n)
{
    return ((n + 3) >> 2) * 2;
}

/* `rows` runs of n bytes, `step` bytes from one to the next, of two pixels, whose runs are `far` bytes apart. The last
 * input of an odd run shares its word with 0. Gives where the next pair goes. */
MCUGEN_DSP_FUNCTION mcugen_aligned_word_t *mcugen_gather_int16(const int8_t *x, int32_t far, int32_t step,
                                                               int32_t rows, mcugen_aligned_word_t *column,
                                                               int32_t n)
{
    const int32_t words = mcugen_gemm_int16_run(n);
#if MCUGEN_DSP_INSTRUCTIONS
    /* One operand: without optimization gcc finds no registers for more. */
    const struct {
        const int8_t *x, *x2;
        mcugen_aligned_word_t *column;
        int32_t n, step, rows;
    } given = {x, x + far, column, n, step - n, rows};
    __asm volatile("push {r4-r11, lr}\n\t"
                   "mov r12, %0\n\t"
                   "ldm r12, {r0, r1, r2, r3, r12, lr}\n\t"
                   "push {r3}\n\t"
                   "1:\n\t" /* a run */
                   "ldr r3, [sp, #0]\n\t"
                   "subs r3, r3, #16\n\t"
                   "blt 3f\n\t"
                   "2:\n\t"
                   "ldr r4, [r0], #16\n\t"
                   "ldr r5, [r1], #16\n\t"
                   "ldr r6, [r0, #-12]\n\t"
                   "ldr r7, [r1, #-12]\n\t"
                   "ldr r8, [r0, #-8]\n\t"
                   "ldr r9, [r1, #-8]\n\t"
                   "ldr r10, [r0, #-4]\n\t"
                   "ldr r11, [r1, #-4]\n\t"
                   "stm r2!, {r4-r11}\n\t"
                   "subs r3, r3, #16\n\t"
                   "bge 2b\n\t"
                   "3:\n\t"
                   "lsls r4, r3, #29\n\t" /* carry: 8 bytes are left, negative: 4 more */
                   "bcc 4f\n\t"
                   "ldr r4, [r0], #8\n\t"
                   "ldr r5, [r1], #8\n\t"
                   "ldr r6, [r0, #-4]\n\t"
                   "ldr r7, [r1, #-4]\n\t"
                   "stm r2!, {r4-r7}\n\t"
                   "4:\n\t"
                   "bpl 5f\n\t"
                   "ldr r4, [r0], #4\n\t"
                   "ldr r5, [r1], #4\n\t"
                   "stm r2!, {r4, r5}\n\t"
                   "5:\n\t"
                   "lsls r4, r3, #31\n\t" /* carry: 2 more */
                   "bcc 6f\n\t"
                   "ldrh r4, [r0], #2\n\t"
                   "ldrh r5, [r1], #2\n\t"
                   "stm r2!, {r4, r5}\n\t"
                   "6:\n\t"
                   "add r0, r0, r12\n\t"
                   "add r1, r1, r12\n\t"
                   "subs lr, lr, #1\n\t"
                   "bne 1b\n\t"
                   "add sp, sp, #4\n\t"
                   "pop {r4-r11, lr}\n\t"
                   :
                   : "r"(&given)
                   : "r0", "r1", "r2", "r3", "r12", "cc", "memory");
#else
    for (int32_t i = 0; i < rows; ++i) {
        for (int32_t byte = 0; byte < n; byte += 4) {
            const int8_t *a = x + i * step + byte;
            const int32_t half = byte + 2 == n;
            column[i * words + byte / 2] = half != 0 ? mcugen_load_half(a) : mcugen_load_word(a);
            column[i * words + byte / 2 + 1] =
                half != 0 ? mcugen_load_half(a + far) : mcugen_load_word(a + far);
        }
    }
#endif
    return column + rows * words;
}

/* One pixel's half of the columns, all 0. */
static inline void mcugen_clear_column_int16(mcugen_aligned_word_t *column, int32_t pairs)
{
    for (; pairs >= 4; pairs -= 4) {
        column[0] = 0;
        column[2] = 0;
        column[4] = 0;
        column[6] = 0;
        column += 8;
    }
    for (; pairs > 0; --pairs) {
        *column = 0;
        column += 2;
    }
}

/* `rows` parts of runs, n bytes of each, at least one input, `step` bytes from one to the next, into every other word,
 * which is one pixel's half of the columns. `before`: bytes of the runs before the parts, `words` from run to run. A
 * half beside a part becomes 0. */
MCUGEN_DSP_FUNCTION void mcugen_gather_part_int16(const int8_t *x, int32_t step, int32_t rows,
                                                  mcugen_aligned_word_t *column, int32_t words,
                                                  int32_t before, int32_t n)
{
    column += (before >> 2) * 2;
    step -= n;
    do {
        mcugen_aligned_word_t *to = column;
        int32_t left = n;
        if ((before & 2) != 0) {
            *to = mcugen_load_half(x) << 16;
            x += 2;
            to += 2;
            left -= 2;
        }
        for (; left >= 16; left -= 16) {
            const uint32_t a = mcugen_load_word(x), b = mcugen_load_word(x + 4);
            const uint32_t c = mcugen_load_word(x + 8), d = mcugen_load_word(x + 12);
            to[0] = a;
            to[2] = b;
            to[4] = c;
            to[6] = d;
            x += 16;
            to += 8;
        }
        for (; left >= 4; left -= 4) {
            *to = mcugen_load_word(x);
            x += 4;
            to += 2;
        }
        if (left != 0) {
            *to = mcugen_load_half(x);
            x += 2;
        }
        x += step;
        column += words;
    } while (--rows > 0);
}

/* y[p][c] of twos of pixels p. Records are of four channels. */
MCUGEN_DSP_FUNCTION void mcugen_gemm_int16(mcugen_gemm_int16_t *gemm)
{
#if MCUGEN_DSP_INSTRUCTIONS
/* r0 columns, r1 weights, r2 to r9 sums of both pixels, channel by channel; r10 and r11 inputs. */
#define MCUGEN_PAIR               \
    "ldr r10, [r0], #8\n\t"       \
    "ldr r11, [r0, #-4]\n\t"      \
    "ldr r12, [r1], #8\n\t"       \
    "sxtb16 lr, r12\n\t"          \
    "sxtb16 r12, r12, ror #8\n\t" \
    "smlad r2, r10, lr, r2\n\t"   \
    "smlad r3, r11, lr, r3\n\t"   \
    "smlad r4, r10, r12, r4\n\t"  \
    "smlad r5, r11, r12, r5\n\t"  \
    "ldr r12, [r1, #-4]\n\t"      \
    "sxtb16 lr, r12\n\t"          \
    "sxtb16 r12, r12, ror #8\n\t" \
    "smlad r6, r10, lr, r6\n\t"   \
    "smlad r7, r11, lr, r7\n\t"   \
    "smlad r8, r10, r12, r8\n\t"  \
    "smlad r9, r11, r12, r9\n\t"
#define MCUGEN_FOUR MCUGEN_PAIR MCUGEN_PAIR MCUGEN_PAIR MCUGEN_PAIR
/* Products of one channel for both pixels by the shift in the lowest byte of r0; up to the half that is added. */
#define MCUGEN_SHIFTED(a, b)   \
    "asr " a ", " a ", r0\n\t" \
    "asr " b ", " b ", r0\n\t" \
    "lsr r0, r0, #8\n\t"       \
    "add " a ", " a ", #1\n\t" \
    "add " b ", " b ", #1\n\t" \
    "asr " a ", " a ", #1\n\t" \
    "asr " b ", " b ", #1\n\t"
    /* All operands come in a structure, and all that must be kept is pushed: any compiler has registers left. On the
     * stack: where the loop begins, end of the columns, structure, columns, weights, record, both outputs, end of the
     * records, flags. The second pixel goes first: both may be in one place. */
    __asm volatile("push {r4-r11, lr}\n\t"
                   "sub sp, sp, #40\n\t"
                   "mov r3, %0\n\t"
                   ".p2align 2\n\t" /* ADR counts from a multiple of 4 */
                   "adr.w r0, 2f\n\t"
                   "ldr r2, [r3, #8]\n\t"
                   "ldr r4, [r3, #0]\n\t"
                   "ldr r5, [r3, #4]\n\t"
                   "ldr r6, [r3, #20]\n\t"
                   "ldr r7, [r3, #24]\n\t"
                   "ldr r8, [r3, #28]\n\t"
                   "ldr r9, [r3, #32]\n\t"
                   "add r0, r0, r2\n\t"
                   "add r0, r0, #1\n\t" /* an address in Thumb code */
                   "str r0, [sp, #0]\n\t"
                   "str r5, [sp, #4]\n\t"
                   "str r3, [sp, #8]\n\t"
                   "str r4, [sp, #12]\n\t"
                   "str r7, [sp, #24]\n\t"
                   "str r8, [sp, #28]\n\t"
                   "str r6, [sp, #32]\n\t"
                   "str r9, [sp, #36]\n\t"
                   "3:\n\t" /* two pixels */
                   "ldr r1, [r3, #12]\n\t"
                   "ldr r12, [r3, #16]\n\t"
                   "1:\n\t" /* four channels */
                   "ldr r0, [sp, #12]\n\t"
                   "ldm r12!, {r2, r4, r6, r8}\n\t"
                   "str r12, [sp, #20]\n\t"
                   "mov r3, r2\n\t"
                   "mov r5, r4\n\t"
                   "mov r7, r6\n\t"
                   "mov r9, r8\n\t"
                   "ldr pc, [sp, #0]\n\t"
                   "2:\n\t" MCUGEN_FOUR MCUGEN_FOUR MCUGEN_FOUR MCUGEN_FOUR "ldr r12, [sp, #4]\n\t"
                   "cmp r0, r12\n\t"
                   "bne.w 2b\n\t"
                   "str r1, [sp, #16]\n\t"
                   "ldr lr, [sp, #36]\n\t"
                   "ldr r12, [sp, #20]\n\t"
                   "tst lr, #2\n\t"
                   "bne 6f\n\t"
                   "ldm r12!, {r0, r1, r10, r11}\n\t"
                   "smmulr r2, r2, r0\n\t"
                   "smmulr r3, r3, r0\n\t"
                   "smmulr r4, r4, r1\n\t"
                   "smmulr r5, r5, r1\n\t"
                   "smmulr r6, r6, r10\n\t"
                   "smmulr r7, r7, r10\n\t"
                   "smmulr r8, r8, r11\n\t"
                   "smmulr r9, r9, r11\n\t"
                   "7:\n\t"
                   "ldr r10, [sp, #24]\n\t"
                   "ldr r11, [sp, #28]\n\t"
                   "ldr r0, [sp, #32]\n\t"
                   "ldr r1, [sp, #16]\n\t"
                   "tst lr, #1\n\t"
                   "bne 4f\n\t"
                   "ssat r2, #16, r2\n\t"
                   "ssat r3, #16, r3\n\t"
                   "ssat r4, #16, r4\n\t"
                   "ssat r5, #16, r5\n\t"
                   "ssat r6, #16, r6\n\t"
                   "ssat r7, #16, r7\n\t"
                   "ssat r8, #16, r8\n\t"
                   "ssat r9, #16, r9\n\t"
                   "b 5f\n\t"
                   "6:\n\t"
                   "ldm r12!, {r0, r1, r10, r11}\n\t"
                   "smmul r2, r2, r0\n\t"
                   "smmul r3, r3, r0\n\t"
                   "smmul r4, r4, r1\n\t"
                   "smmul r5, r5, r1\n\t"
                   "smmul r6, r6, r10\n\t"
                   "smmul r7, r7, r10\n\t"
                   "smmul r8, r8, r11\n\t"
                   "smmul r9, r9, r11\n\t"
                   "ldr r0, [r12], #4\n\t" MCUGEN_SHIFTED("r2", "r3") MCUGEN_SHIFTED("r4", "r5")
                       MCUGEN_SHIFTED("r6", "r7") MCUGEN_SHIFTED("r8", "r9") "b 7b\n\t"
                                                                             "4:\n\t"
                                                                             "usat r2, #15, r2\n\t"
                                                                             "usat r3, #15, r3\n\t"
                                                                             "usat r4, #15, r4\n\t"
                                                                             "usat r5, #15, r5\n\t"
                                                                             "usat r6, #15, r6\n\t"
                                                                             "usat r7, #15, r7\n\t"
                                                                             "usat r8, #15, r8\n\t"
                                                                             "usat r9, #15, r9\n\t"
                                                                             "5:\n\t"
                                                                             "pkhbt r3, r3, r5, lsl #16\n\t"
                                                                             "pkhbt r7, r7, r9, lsl #16\n\t"
                                                                             "pkhbt r2, r2, r4, lsl #16\n\t"
                                                                             "pkhbt r6, r6, r8, lsl #16\n\t"
                                                                             "str r7, [r11, #4]\n\t"
                                                                             "str r3, [r11], #8\n\t"
                                                                             "str r6, [r10, #4]\n\t"
                                                                             "str r2, [r10], #8\n\t"
                                                                             "str r10, [sp, #24]\n\t"
                                                                             "str r11, [sp, #28]\n\t"
                                                                             "cmp r12, r0\n\t"
                                                                             "bne.w 1b\n\t"
                                                                             "ldr r3, [sp, #8]\n\t"
                                                                             "ldr r1, [sp, #4]\n\t"
                                                                             "ldr r0, [r3, #36]\n\t"
                                                                             "ldr r2, [r3, #40]\n\t"
                                                                             "ldr r4, [r3, #44]\n\t"
                                                                             "str r1, [sp, #12]\n\t"
                                                                             "add r1, r1, r2\n\t"
                                                                             "str r1, [sp, #4]\n\t"
                                                                             "add r10, r10, r4, lsl #1\n\t"
                                                                             "str r10, [sp, #24]\n\t"
                                                                             "add r11, r11, r4, lsl #1\n\t"
                                                                             "str r11, [sp, #28]\n\t"
                                                                             "subs r0, r0, #1\n\t"
                                                                             "str r0, [r3, #36]\n\t"
                                                                             "bne.w 3b\n\t"
                                                                             "add sp, sp, #40\n\t"
                                                                             "pop {r4-r11, lr}\n\t"
                   :
                   : "r"(gemm)
                   : "r0", "r1", "r2", "r3", "r12", "cc", "memory");
#undef MCUGEN_PAIR
#undef MCUGEN_FOUR
#undef MCUGEN_SHIFTED
#else
    const int32_t words = mcugen_record_words(4, gemm->flags);
    const int32_t pairs = (int32_t)(gemm->end - gemm->columns) / 2;
    for (; gemm->pixels > 0; --gemm->pixels) {
        const uint32_t *w = gemm->weights;
        for (const int32_t *block = gemm->channels; block != gemm->channels_end; block += words) {
            for (int32_t p = 1; p >= 0; --p) {
                for (int32_t k = 0; k < 4; ++k) {
                    int32_t acc = block[k];
                    for (int32_t i = 0; i < pairs; ++i) {
                        const uint32_t both = w[2 * i + k / 2];
                        const uint32_t two = (k & 1) != 0 ? mcugen_sxtb16_ror8(both) : mcugen_sxtb16(both);
                        acc = mcugen_smlad(gemm->columns[2 * i + p], two, acc);
                    }
                    gemm->y[p][k] = mcugen_scale_int16(acc, block, 4, k, gemm->flags);
                }
            }
            w += 2 * pairs;
            gemm->y[0] += 4;
            gemm->y[1] += 4;
        }
        gemm->columns = gemm->end;
        gemm->end += gemm->column_bytes / 4;
        gemm->y[0] += gemm->y_next;
        gemm->y[1] += gemm->y_next;
    }
#endif
}

#endif
