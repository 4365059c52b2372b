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

/* Words of a record of n channels, 4 or 8: biases, multipliers, and with shifts e of their own a byte e - 1 of each. */
static inline int32_t mcugen_record_words(int32_t n, int32_t flags)
{
    return 2 * n + ((flags & MCUGEN_INT16_SHIFTED) != 0 ? n >> 2 : 0);
}

/* acc times channel k's multiplier / 2^32, or / 2^(32 + e), half up, saturated. */
static inline int16_t mcugen_scale_int16(int32_t acc, const int32_t *record, int32_t n, int32_t k,
                                         int32_t flags)
{
    const int32_t multiplier = record[n + k];
    int32_t scaled;
    if ((flags & MCUGEN_INT16_SHIFTED) != 0) {
        const int32_t less_one = record[2 * n + (k >> 2)] >> (8 * (k & 3)) & 255;
        scaled = ((mcugen_smmul(acc, multiplier) >> less_one) + 1) >> 1;
    } else {
        scaled = mcugen_smmulr(acc, multiplier);
    }
    return (int16_t)mcugen_clamp(scaled, (flags & MCUGEN_INT16_RELU) != 0 ? 0 : -32768, 32767);
}

#endif
