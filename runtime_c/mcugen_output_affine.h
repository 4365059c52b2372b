/* SPDX-License-Identifier: 0BSD */
/* mcugen_output_affine.h - from accumulators to output bytes by one multiplication and one saturation.
 *
 * For layers whose every channel is proved to have such a multiplier and offset (mcugen/kernels/output_affine.py). */
#ifndef MCUGEN_OUTPUT_AFFINE_H
#define MCUGEN_OUTPUT_AFFINE_H

#include "mcugen_dsp.h"

/* acc: 256 times the accumulator plus the channel's offset. */
static inline int32_t mcugen_requantize_affine(int32_t acc, int32_t multiplier)
{
    const int32_t scaled = mcugen_smmul(acc, multiplier);
#if MCUGEN_DSP_INSTRUCTIONS
    int32_t y;
    __asm("ssat %0, #8, %1, asr #11" : "=r"(y) : "r"(scaled));
    return y;
#else
    return mcugen_ssat8(scaled >> 11);
#endif
}

/* For any zero point, as mcugen_requantize_short. twice: the accumulator times two; less_one: the shift to the right
 * less one; rounding: 2 * zero point + 1. */
static inline int32_t mcugen_requantize_twice(int32_t twice, int32_t multiplier, int32_t less_one,
                                              int32_t rounding)
{
    const int32_t scaled = mcugen_smmulr(twice, multiplier);
    return mcugen_ssat8((((scaled + (twice >> 31)) >> less_one) + rounding) >> 1);
}

#endif
