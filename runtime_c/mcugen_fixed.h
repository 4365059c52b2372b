/* SPDX-License-Identifier: 0BSD */
/* mcugen_fixed.h - the fixed-point arithmetic of generated code.
 *
 * Results are bit-identical with TensorFlow Lite Micro's reference kernels (gemmlowp, double rounding).
 * No floating point, no library calls, no undefined behaviour for the stated ranges. "Qm.n" has m integer and
 * n fractional bits: real = raw / 2^n. */
#ifndef MCUGEN_FIXED_H
#define MCUGEN_FIXED_H

#include <limits.h>
#include <stdint.h>

#define MCUGEN_RUNTIME_VERSION 1

/* Where functions are placed that run once per layer or oftener; a library defines it before. */
#ifndef MCUGEN_CODE
#define MCUGEN_CODE
#endif

/* For functions whose loops want all registers for themselves. */
#if defined(__GNUC__)
#define MCUGEN_NOINLINE __attribute__((noinline))
#else
#define MCUGEN_NOINLINE
#endif

/* What C leaves to the compiler and this code relies on. An array of negative size is a failed assertion. */
typedef char mcugen_assert_bytes_have_8_bits[CHAR_BIT == 8 ? 1 : -1];
typedef char mcugen_assert_int_has_32_bits[sizeof(int) >= sizeof(int32_t) ? 1 : -1];
typedef char mcugen_assert_arithmetic_right_shift[(-5 >> 1) == -3 && (-((int64_t)5) >> 1) == -3 ? 1 : -1];
typedef char
    mcugen_assert_twos_complement[(-1 & 3) == 3 && (int32_t)UINT32_C(0x80000001) == -INT32_MAX ? 1 : -1];

static inline int32_t mcugen_clamp(int32_t x, int32_t lo, int32_t hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}

/* a * b / 2^31, half towards +infinity. Not both INT32_MIN. */
static inline int32_t mcugen_rdhm(int32_t a, int32_t b)
{
    return (int32_t)(((int64_t)a * b + ((int64_t)1 << 30)) >> 31);
}

/* The same for any a and b: INT32_MIN times INT32_MIN gives INT32_MAX. */
static inline int32_t mcugen_srdhm(int32_t a, int32_t b)
{
    return a == INT32_MIN && b == INT32_MIN ? INT32_MAX : mcugen_rdhm(a, b);
}

/* x / 2^exponent, half away from zero. 0 <= exponent <= 31. */
static inline int32_t mcugen_rdbpot(int32_t x, int32_t exponent)
{
    const int32_t mask = (int32_t)(((uint32_t)1 << exponent) - 1);
    const int32_t threshold = (mask >> 1) + (x < 0);
    return (x >> exponent) + ((x & mask) > threshold);
}

/* The same for 0 <= x < 2^31 and 1 <= exponent <= 31. */
static inline int32_t mcugen_rdbpot_positive(int32_t x, int32_t exponent)
{
    return (int32_t)(((uint32_t)x + (UINT32_C(1) << (exponent - 1))) >> exponent);
}

/* x * 2^exponent, wrapping; the caller has proved that it fits. 0 <= exponent <= 31. */
static inline int32_t mcugen_shift_left(int32_t x, int32_t exponent)
{
    return (int32_t)((uint32_t)x << exponent);
}

/* x * 2^exponent, saturating. 0 <= exponent <= 31. */
static inline int32_t mcugen_saturating_shift_left(int32_t x, int32_t exponent)
{
    const int32_t limit = INT32_MAX >> exponent;
    return x > limit ? INT32_MAX : x < -limit - 1 ? INT32_MIN : mcugen_shift_left(x, exponent);
}

/* x * multiplier / 2^31 * 2^shift, rounding twice. -31 <= shift <= 31, multiplier > INT32_MIN; for shift > 0,
 * x * 2^shift fits 32 bits. */
static inline int32_t mcugen_mbqm(int32_t x, int32_t multiplier, int32_t shift)
{
    const int32_t left = shift > 0 ? shift : 0;
    const int32_t right = shift < 0 ? -shift : 0;
    return mcugen_rdbpot(mcugen_rdhm(mcugen_shift_left(x, left), multiplier), right);
}

/* An accumulator to an output byte; a left shift saturates. -31 <= shift <= 31, -128 <= lo <= hi <= 127; the zero
 * point is an int8 value too. */
static inline int8_t mcugen_requantize(int32_t acc, int32_t multiplier, int32_t shift, int32_t zero_point,
                                       int32_t lo, int32_t hi)
{
    /* The bounds move, not the value: adding the zero point first could overflow. */
    const int32_t fitting = shift > 0 ? mcugen_saturating_shift_left(acc, shift) : acc;
    const int32_t scaled = mcugen_mbqm(fitting, multiplier, shift > 0 ? 0 : shift);
    return (int8_t)(mcugen_clamp(scaled, lo - zero_point, hi - zero_point) + zero_point);
}

/* Zero bits above the highest one; 32 for 0. */
static inline int32_t mcugen_count_leading_zeros(uint32_t x)
{
#if defined(__ARM_FEATURE_CLZ) && defined(__GNUC__)
    return x == 0 ? 32 : __builtin_clz(x);
#else
    int32_t zeros = 32;
    int32_t step;
    for (step = 16; step > 0; step >>= 1) {
        if (x >> step != 0) {
            zeros -= step;
            x >>= step;
        }
    }
    return zeros - (int32_t)x;
#endif
}

/* exp(a) in Q0.31 for a <= 0 in Q5.26; 1 is INT32_MAX. */
static inline int32_t mcugen_exp_on_negative_values(int32_t a)
{
    static const int32_t exp_of_minus_power[7] = {
        1672461947, /* exp(-1/4) in Q0.31, and so on: */
        1302514674, /* -1/2 */
        790015084,  /* -1 */
        290630308,  /* -2 */
        39332535,   /* -4 */
        720401,     /* -8 */
        242,        /* -16 */
    };
    const int32_t exp_of_minus_eighth = 1895147668;
    const int32_t one_third = 715827883;
    const int32_t quarter = (int32_t)1 << 24;
    const int32_t low = (a & (quarter - 1)) - quarter; /* in [-1/4, 0) */
    const int32_t rest = low - a;                      /* a multiple of 1/4 */
    const int32_t x = low * 32 + ((int32_t)1 << 28);   /* low + 1/8 in Q0.31 */
    /* The Taylor series to the fourth power around -1/8. */
    const int32_t x2 = mcugen_rdhm(x, x);
    const int32_t x3 = mcugen_rdhm(x2, x);
    const int32_t x4 = mcugen_rdhm(x2, x2);
    const int32_t cubic = mcugen_rdhm(mcugen_rdbpot_positive(x4, 2) + x3, one_third);
    const int32_t tail = mcugen_rdbpot_positive(cubic + x2, 1); /* |cubic| <= x2, as |x| <= 1/8 */
    int32_t result = exp_of_minus_eighth + mcugen_rdhm(exp_of_minus_eighth, x + tail);
    int32_t bit;
    if (a == 0) {
        return INT32_MAX;
    }
    for (bit = 0; bit < 7; bit++) { /* one factor per bit of the rest */
        if ((rest >> (24 + bit)) & 1) {
            result = mcugen_rdhm(result, exp_of_minus_power[bit]);
        }
    }
    return result;
}

/* 1 / (1 + a) in Q0.31 for 0 <= a < 1 in Q0.31, by three Newton-Raphson steps. */
static inline int32_t mcugen_one_over_one_plus_x_for_x_in_0_1(int32_t a)
{
    const int32_t c_48_over_17 = 1515870810;        /* Q2.29 */
    const int32_t c_minus_32_over_17 = -1010580540; /* Q2.29 */
    const int32_t one = (int32_t)1 << 29;           /* Q2.29 */
    const int32_t half_sum = (a >> 1) + ((int32_t)1 << 30);
    int32_t x = c_48_over_17 + mcugen_rdhm(half_sum, c_minus_32_over_17);
    int32_t step;
    for (step = 0; step < 3; step++) {
        /* The first estimate is off by at most 1/17, so this is small. */
        x += mcugen_shift_left(mcugen_rdhm(x, one - mcugen_rdhm(half_sum, x)), 2);
    }
    return mcugen_saturating_shift_left(x, 1);
}

/* 1 / x for x > 0 with `integer_bits` integer bits: the result in Q0.31, to be divided by 2^*bits_over_unit. */
static inline int32_t mcugen_get_reciprocal(int32_t x, int32_t integer_bits, int32_t *bits_over_unit)
{
    const int32_t zeros = mcugen_count_leading_zeros((uint32_t)x);
    const uint32_t fraction = ((uint32_t)x << zeros) & UINT32_C(0x7FFFFFFF);
    *bits_over_unit = integer_bits - zeros;
    return mcugen_one_over_one_plus_x_for_x_in_0_1((int32_t)fraction);
}

/* One output of an int8 softmax (scale 1/256, zero point -128): this element's exponential in Q0.31 times the
 * reciprocal of the sum of all, which was taken in Q12.19 and is 1 at least: bits_over_unit >= 0. */
static inline int8_t mcugen_softmax_output(int32_t exponential, int32_t reciprocal, int32_t bits_over_unit)
{
    const int32_t exponent = bits_over_unit + 31 - 8;
    if (exponent > 31) {
        return -128; /* below 1/512 */
    }
    const int32_t result = mcugen_rdbpot_positive(mcugen_rdhm(reciprocal, exponential), exponent);
    return (int8_t)(result > 255 ? 127 : result - 128);
}

#endif
