/* SPDX-License-Identifier: 0BSD */
/* mcugen_mean.h - means of bytes; on cores that cannot divide without a division each. */
#ifndef MCUGEN_MEAN_H
#define MCUGEN_MEAN_H

#include <stdint.h>

/* What mcugen_mean multiplies by instead of dividing by `count`; 0 where it divides: many numbers, or a core that can. */
static inline uint32_t mcugen_reciprocal(int32_t count)
{
#if defined(__ARM_FEATURE_IDIV)
    (void)count;
    return 0;
#else
    return count < 360 ? (UINT32_C(1) << 24) / (uint32_t)count + 1 : 0;
#endif
}

/* The sum of `count` bytes divided by their number, halves away from zero. With a reciprocal r = (2^24 + e) / count,
 * 0 < e <= count, the product is below 129 * count * r < 2^32, and exact: 129 * count * e < 2^24. */
static inline int32_t mcugen_mean(int32_t sum, int32_t count, uint32_t reciprocal)
{
    const int32_t half = count >> 1;
    if (reciprocal == 0) {
        return (sum > 0 ? sum + half : sum - half) / count;
    }
    const uint32_t size = (uint32_t)((sum < 0 ? -sum : sum) + half);
    const int32_t mean = (int32_t)((size * reciprocal) >> 24);
    return sum < 0 ? -mean : mean;
}

#endif
