/* SPDX-License-Identifier: 0BSD */
/* mcugen_output.h - from accumulators to output bytes, for layers with weights. */
#ifndef MCUGEN_OUTPUT_H
#define MCUGEN_OUTPUT_H

#include "mcugen_fixed.h"

/* One bias per channel; one multiplier and shift per channel, or (per_channel = 0) one for all. */
typedef struct {
    const int32_t *bias;
    const int32_t *multiplier;
    const int8_t *shift;
    int32_t per_channel;
    int32_t zero_point, lo, hi;
} mcugen_output_t;

/* y[k] = clamp(requantize(sums[k] + bias) + zero_point) for `count` channels from `first` on. */
MCUGEN_CODE MCUGEN_NOINLINE static void mcugen_store(const mcugen_output_t *output, const int32_t *sums,
                                                     int32_t first, int32_t count, int8_t *y)
{
    const int32_t *bias = output->bias + first;
    const int32_t step = output->per_channel;
    const int32_t *multiplier = output->multiplier + first * step;
    const int8_t *shift = output->shift + first * step;
    const int32_t zero_point = output->zero_point;
    const int32_t lo = output->lo;
    const int32_t hi = output->hi;
    for (const int8_t *const end = y + count; y != end;) {
        *y++ = mcugen_requantize(*sums++ + *bias++, *multiplier, *shift, zero_point, lo, hi);
        multiplier += step;
        shift += step;
    }
}

#endif
