/* SPDX-License-Identifier: 0BSD */
/* mcugen_inverse_sqrt.h - 1 / sqrt(x) of an integer in fixed point. */
#ifndef MCUGEN_INVERSE_SQRT_H
#define MCUGEN_INVERSE_SQRT_H

#include "mcugen_fixed.h"

/* A factor for mcugen_mbqm. */
typedef struct {
    int32_t multiplier, shift;
} mcugen_factor_t;

/* 1 / sqrt(x) for x >= 0, by five Newton-Raphson steps; 0 counts as 1. The shift is at most 0. */
static inline mcugen_factor_t mcugen_inverse_sqrt(int32_t x)
{
    mcugen_factor_t result = {INT32_MAX, 0};
    int32_t shift = 11;
    if (x <= 1) {
        return result;
    }
    if (x >= (int32_t)1 << 29) {
        x /= 4;
        ++shift;
    }
    const int32_t pairs = (mcugen_count_leading_zeros((uint32_t)x) - 1) / 2 - 1; /* of bits, to the left */
    shift -= pairs;
    const int32_t half = mcugen_rdbpot(mcugen_shift_left(x, 2 * pairs) >> 1, 1); /* Q3.28 */
    int32_t root = (int32_t)1 << 28;
    for (int32_t step = 0; step < 5; ++step) {
        const int32_t cube = mcugen_saturating_shift_left(mcugen_rdhm(mcugen_rdhm(root, root), root), 6);
        const int32_t next = mcugen_rdhm((1 << 28) + (1 << 27), root) - mcugen_rdhm(half, cube);
        root = mcugen_saturating_shift_left(next, 3);
    }
    root = mcugen_rdhm(root, 1518500250); /* sqrt(1/2) in Q0.31 */
    result.multiplier = shift < 0 ? mcugen_shift_left(root, -shift) : root;
    result.shift = shift < 0 ? 0 : -shift;
    return result;
}

#endif
