/* SPDX-License-Identifier: 0BSD */
/* mcugen_log.h - the natural logarithm in fixed point. */
#ifndef MCUGEN_LOG_H
#define MCUGEN_LOG_H

#include "mcugen_fixed.h"

/* log(x) in Q5.26 for x >= 1 in Q12.19. */
static inline int32_t mcugen_log_of_sum(int32_t x)
{
    const int32_t log_2 = 1488522236; /* Q0.31, as all of these */
    const int32_t sqrt_half = 1518500250;
    const int32_t fourth_root_half = 1805811301;
    const int32_t alpha_n = 117049297;  /* 11/240 * 2^(1/4) */
    const int32_t alpha_d = 127690142;  /* 1/20 * 2^(1/4) */
    const int32_t alpha_i = 1057819769; /* 2 * 2^(-1/4) - 2^(1/4) */
    const int32_t alpha_f = 638450708;  /* 1/4 * 2^(1/4) */
    /* x as a power of 2 (Q6.25) and a mantissa between 2^(-3/4) and 2^(1/4), times a constant: of two ways one fits. */
    const int32_t zeros = mcugen_count_leading_zeros((uint32_t)x);
    const int32_t headroom = mcugen_count_leading_zeros((uint32_t)mcugen_rdhm(x, sqrt_half)) - 1;
    const int32_t high =
        mcugen_saturating_shift_left(mcugen_rdhm(mcugen_shift_left(x, zeros - 1), sqrt_half), 1);
    const int32_t low = mcugen_saturating_shift_left(x, headroom);
    const int32_t high_power = (12 - zeros) * (1 << 25) + (1 << 23);
    const int32_t low_power = (12 - headroom) * (1 << 25) - (1 << 23);
    const int32_t r = high < low ? high : low;
    const int32_t power = high_power > low_power ? high_power : low_power;
    const int32_t p = (int32_t)(((int64_t)r + fourth_root_half + 1) >> 1);
    const int32_t q = (r - fourth_root_half) * 2;
    const int32_t square = mcugen_rdhm(q, q);
    const int32_t numerator = mcugen_rdhm(q, r) + mcugen_rdhm(mcugen_rdhm(q, square), alpha_n);
    const int32_t denominator =
        mcugen_rdhm(p, alpha_i + q + mcugen_rdhm(alpha_d, square)) + mcugen_rdhm(alpha_f, q);
    const int32_t quotient =
        mcugen_rdhm(mcugen_rdbpot(numerator, 6), mcugen_one_over_one_plus_x_for_x_in_0_1(denominator));
    return mcugen_saturating_shift_left(mcugen_rdhm(power, log_2) + quotient, 1);
}

#endif
