/* SPDX-License-Identifier: 0BSD */
/* mcugen_output_int16_dsp.h - from accumulators to int16 outputs in few instructions, for layers with weights.
 *
 * Equal to mcugen_rescale_once_int16 where mcugen/kernels/output_int16_dsp.py proves it, channel by channel. */
#ifndef MCUGEN_OUTPUT_INT16_DSP_H
#define MCUGEN_OUTPUT_INT16_DSP_H

#include "mcugen_dsp.h"

/* How a layer's outputs are made: by a saturation to 0 .. 2^15 - 1 in place of int16; with a shift of each channel. */
#define MCUGEN_INT16_RELU 1
#define MCUGEN_INT16_SHIFTED 2

/* Words of a channel's scale: a multiplier; or that and its halves, 2^(e - 1) in the upper one, e >= 1 in the lower one. */
static inline int32_t mcugen_scale_words(int32_t flags)
{
    return (flags & MCUGEN_INT16_SHIFTED) != 0 ? 2 : 1;
}

/* acc * multiplier / 2^32, or / 2^(32 + e), half up, saturated. */
static inline int16_t mcugen_scale_int16(int32_t acc, const int32_t *scale, int32_t flags)
{
    const int32_t scaled = (flags & MCUGEN_INT16_SHIFTED) != 0
                               ? (mcugen_smmul(acc, scale[0]) + (scale[1] >> 16)) >> (scale[1] & 255)
                               : mcugen_smmulr(acc, scale[0]);
    return (int16_t)mcugen_clamp(scaled, (flags & MCUGEN_INT16_RELU) != 0 ? 0 : -32768, 32767);
}

#endif
