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

#endif
