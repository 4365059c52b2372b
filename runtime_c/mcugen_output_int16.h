/* SPDX-License-Identifier: 0BSD */
/* mcugen_output_int16.h - from accumulators to int16 outputs, for layers with weights. */
#ifndef MCUGEN_OUTPUT_INT16_H
#define MCUGEN_OUTPUT_INT16_H

#include "mcugen_int16.h"
#include "mcugen_wide.h"

/* One bias per channel; one multiplier and shift per channel, or (per_channel = 0) one for all. y[k] = clamp(sums[k] +
 * bias, rescaled) for `count` channels from `first` on; output.lo and hi are bounds of int16. */

/* Rounding once: 16 bits of the multiplier, and the whole shift to the right. */
typedef struct {
    const int32_t *bias;
    const int16_t *multiplier;
    const int8_t *shift;
    int32_t per_channel, lo, hi;
} mcugen_output_int16_t;

static inline void mcugen_store_int16(const mcugen_output_int16_t *output, const int32_t *sums, int32_t first,
                                      int32_t count, mcugen_int16_t *y)
{
    for (int32_t k = 0; k < count; ++k) {
        const int32_t channel = output->per_channel ? first + k : 0;
        y[k] = mcugen_rescale_once_int16(sums[k] + output->bias[first + k], output->multiplier[channel],
                                         output->shift[channel], output->lo, output->hi);
    }
}

/* The same for sums of 64 bits. */
typedef struct {
    const int64_t *bias;
    const int16_t *multiplier;
    const int8_t *shift;
    int32_t per_channel, lo, hi;
} mcugen_output_int16_wide_t;

static inline void mcugen_store_int16_wide(const mcugen_output_int16_wide_t *output, const int64_t *sums,
                                           int32_t first, int32_t count, mcugen_int16_t *y)
{
    for (int32_t k = 0; k < count; ++k) {
        const int32_t channel = output->per_channel ? first + k : 0;
        y[k] = mcugen_rescale_once_int16(sums[k] + output->bias[first + k], output->multiplier[channel],
                                         output->shift[channel], output->lo, output->hi);
    }
}

/* Rounding twice, as of int8. */
typedef struct {
    const int32_t *bias;
    const int32_t *multiplier;
    const int8_t *shift;
    int32_t per_channel, lo, hi;
} mcugen_output_int16_twice_t;

static inline void mcugen_store_int16_twice(const mcugen_output_int16_twice_t *output, const int32_t *sums,
                                            int32_t first, int32_t count, mcugen_int16_t *y)
{
    for (int32_t k = 0; k < count; ++k) {
        const int32_t channel = output->per_channel ? first + k : 0;
        y[k] = mcugen_rescale_int16(sums[k] + output->bias[first + k], output->multiplier[channel],
                                    output->shift[channel], output->lo, output->hi);
    }
}

#endif
