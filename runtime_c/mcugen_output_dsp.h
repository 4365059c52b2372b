/* SPDX-License-Identifier: 0BSD */
/* mcugen_output_dsp.h - from accumulators to output bytes in few instructions, for layers with weights.
 *
 * Four forms of one function, from the shortest to the most general. All equal mcugen_requantize wherever their
 * conditions hold; the generator proves those for every channel of a layer (mcugen/kernels/output_dsp.py). */
#ifndef MCUGEN_OUTPUT_DSP_H
#define MCUGEN_OUTPUT_DSP_H

#include "mcugen_dsp.h"

/* Per channel: bias (with -zero point * sum of the weights of the input), multiplier, shift (negative: to the right). */
typedef struct {
    const int32_t *bias;
    const int32_t *multiplier;
    const int8_t *shift;
    int32_t zero_point, lo, hi;
} mcugen_output_dsp_t;

/* -22 <= shift <= -1, |acc| < 2^30; the output's whole range. rounding: 2 * zero point + 1. */
static inline int32_t mcugen_requantize_short(int32_t acc, int32_t multiplier, int32_t shift,
                                              int32_t rounding)
{
    const int32_t scaled = mcugen_smmulr(2 * acc, multiplier);
    const int32_t moved = mcugen_shift_left(rounding, -shift) >> 1;
    return mcugen_ssat8((scaled + (scaled >> 31) + moved) >> -shift);
}

/* The same clamped to lo..hi. */
static inline int32_t mcugen_requantize_clamped(int32_t acc, int32_t multiplier, int32_t shift,
                                                int32_t rounding, int32_t lo, int32_t hi)
{
    return mcugen_clamp(mcugen_requantize_short(acc, multiplier, shift, rounding), lo, hi);
}

/* -22 <= shift, |acc| * 2^max(shift, 0) < 2^30. */
static inline int32_t mcugen_requantize_shifted(int32_t acc, int32_t multiplier, int32_t shift,
                                                int32_t rounding, int32_t lo, int32_t hi)
{
    const int32_t left = shift > 0 ? shift : 0;
    const int32_t right = shift < 0 ? -shift : 0;
    const int32_t scaled = mcugen_smmulr(mcugen_shift_left(acc, left + 1), multiplier);
    const int32_t nudge = (scaled >> 31) & -(int32_t)(right != 0);
    const int32_t moved = mcugen_shift_left(rounding, right) >> 1;
    return mcugen_clamp((scaled + nudge + moved) >> right, lo, hi);
}

/* Any accumulator and shift. */
static inline int32_t mcugen_requantize_wide(int32_t acc, int32_t multiplier, int32_t shift, int32_t rounding,
                                             int32_t lo, int32_t hi)
{
    return mcugen_requantize(acc, multiplier, shift, (rounding - 1) / 2, lo, hi);
}

/* y[k] = clamp(requantize(sums[k] + bias) + zero_point) for `count` channels from `first` on; by the wide form, the shifted
 * one, or the clamped one. */
#define MCUGEN_OUTPUT_WIDE 2
#define MCUGEN_OUTPUT_SHIFTED 1
#define MCUGEN_OUTPUT_CLAMPED 0
MCUGEN_DSP_FUNCTION void mcugen_store_dsp(const mcugen_output_dsp_t *output, const int32_t *sums,
                                          int32_t first, int32_t count, int32_t form, int8_t *y)
{
    const int32_t *bias = output->bias + first;
    const int32_t *multiplier = output->multiplier + first;
    const int8_t *shift = output->shift + first;
    const int32_t rounding = 2 * output->zero_point + 1;
    const int32_t lo = output->lo;
    const int32_t hi = output->hi;
    const int8_t *const end = y + count;
    if (form == MCUGEN_OUTPUT_CLAMPED) {
        while (y != end) {
            const int32_t acc = mcugen_wrapping_add(*sums++, *bias++);
            *y++ = (int8_t)mcugen_requantize_clamped(acc, *multiplier++, *shift++, rounding, lo, hi);
        }
        return;
    }
    while (y != end) {
        const int32_t acc = mcugen_wrapping_add(*sums++, *bias++);
        *y++ = (int8_t)(form == MCUGEN_OUTPUT_WIDE
                            ? mcugen_requantize_wide(acc, *multiplier, *shift, rounding, lo, hi)
                            : mcugen_requantize_shifted(acc, *multiplier, *shift, rounding, lo, hi));
        ++multiplier;
        ++shift;
    }
}

#endif
