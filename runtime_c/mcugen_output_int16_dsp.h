/* SPDX-License-Identifier: 0BSD */
/* mcugen_output_int16_dsp.h - from accumulators to int16 outputs in few instructions, for layers with weights.
 *
 * Both forms equal mcugen_rescale_once_int16 where mcugen/kernels/output_int16_dsp.py proves it, channel by channel. */
#ifndef MCUGEN_OUTPUT_INT16_DSP_H
#define MCUGEN_OUTPUT_INT16_DSP_H

#include "mcugen_dsp.h"

/* Into int16; of a ReLU, into 0 .. 2^15 - 1. */
static inline int16_t mcugen_saturate_int16(int32_t x, int32_t relu)
{
    return (int16_t)mcugen_clamp(x, relu != 0 ? 0 : -32768, 32767);
}

/* acc * multiplier / 2^32, half up. */
static inline int32_t mcugen_rescale_one(int32_t acc, int32_t multiplier)
{
    return mcugen_smmulr(acc, multiplier);
}

/* acc * multiplier / 2^(32 + e), half up; halves: 2^(e - 1) in the upper one, e >= 1 in the lower one. */
static inline int32_t mcugen_rescale_shifted(int32_t acc, int32_t multiplier, int32_t halves)
{
    return (mcugen_smmul(acc, multiplier) + (halves >> 16)) >> (halves & 255);
}

#endif
