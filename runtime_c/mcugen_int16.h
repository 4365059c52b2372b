/* SPDX-License-Identifier: 0BSD */
/* mcugen_int16.h - int16 outputs, whose zero point is 0. */
#ifndef MCUGEN_INT16_H
#define MCUGEN_INT16_H

#include "mcugen_fixed.h"

/* x * multiplier / 2^31 * 2^shift, rounding twice, inside of bounds of int16; a left shift saturates. -31 <= shift <= 31. */
static inline int16_t mcugen_rescale_int16(int32_t x, int32_t multiplier, int32_t shift, int32_t lo,
                                           int32_t hi)
{
    const int32_t fitting = shift > 0 ? mcugen_saturating_shift_left(x, shift) : x;
    return (int16_t)mcugen_clamp(mcugen_mbqm(fitting, multiplier, shift > 0 ? 0 : shift), lo, hi);
}

/* x * multiplier / 2^right, rounding once, half up, inside of bounds of int16. |x| < 2^47, 0 <= multiplier < 2^15,
 * 1 <= right <= 46. */
static inline int16_t mcugen_rescale_once_int16(int64_t x, int32_t multiplier, int32_t right, int32_t lo,
                                                int32_t hi)
{
    const int64_t scaled = (x * multiplier + ((int64_t)1 << (right - 1))) >> right;
    return (int16_t)(scaled < lo ? lo : scaled > hi ? hi : (int32_t)scaled);
}

/* A table of 513 entries between them: the upper 9 bits of an int16 x choose, the lower 7 interpolate. */
static inline int32_t mcugen_lookup_int16(const int16_t *table, int32_t x)
{
    const int16_t *entry = table + 256 + (x >> 7);
    return entry[0] + (((entry[1] - entry[0]) * (x & 127) + 64) >> 7);
}

#endif
