/* SPDX-License-Identifier: 0BSD */
/* mcugen_dot.h - sums of products of bytes, four at a time, in plain C for every core.
 *
 * Functions of their own, not inlined: their loops then have all registers to themselves. */
#ifndef MCUGEN_DOT_H
#define MCUGEN_DOT_H

#include "mcugen_fixed.h"

/* Whether loops are written for vector units of big computers; results are the same. */
#if !defined(MCUGEN_VECTORS)
#if defined(__arm__) || defined(__riscv)
#define MCUGEN_VECTORS 0
#else
#define MCUGEN_VECTORS 1
#endif
#endif

/* sums[k] += sum over i < n of (x[i] + offset) * w_k[i], where w_k = w + at[k]: one x, four rows of weights. */
MCUGEN_CODE MCUGEN_NOINLINE static void mcugen_dot4(const int8_t *x, const int8_t *w, const int32_t at[4],
                                                    int32_t n, int32_t offset, int32_t sums[4])
{
    const int8_t *w0 = w + at[0];
    const int8_t *w1 = w + at[1];
    const int8_t *w2 = w + at[2];
    const int8_t *w3 = w + at[3];
    int32_t s0 = sums[0];
    int32_t s1 = sums[1];
    int32_t s2 = sums[2];
    int32_t s3 = sums[3];
#if MCUGEN_VECTORS
    for (int32_t i = 0; i < n; ++i) { /* compilers take pairs of products of halves for one instruction */
        const int16_t value = (int16_t)(x[i] + offset);
        s0 += value * (int16_t)w0[i];
        s1 += value * (int16_t)w1[i];
        s2 += value * (int16_t)w2[i];
        s3 += value * (int16_t)w3[i];
    }
#else
    for (const int8_t *const end = x + n; x != end;) {
        const int32_t value = *x++ + offset;
        s0 += value * *w0++;
        s1 += value * *w1++;
        s2 += value * *w2++;
        s3 += value * *w3++;
    }
#endif
    sums[0] = s0;
    sums[1] = s1;
    sums[2] = s2;
    sums[3] = s3;
}

#endif
