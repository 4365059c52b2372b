/* SPDX-License-Identifier: 0BSD */
/* mcugen_float_math.h - functions of float32 whose every bit is defined, without libm.
 *
 * What is not called costs nothing. NaN in gives NaN; a NaN's sign and payload are not defined. mcugen/float_math.py
 * computes the same bits. Powers of 2 are taken out exactly, polynomials do the rest. */
#ifndef MCUGEN_FLOAT_MATH_H
#define MCUGEN_FLOAT_MATH_H

#include "mcugen_float.h"

#define MCUGEN_F32_SIGN 0x80000000u

static inline float mcugen_f32_nan(void)
{
    return mcugen_float_of_bits(0x7FC00000u);
}

/* ---- arithmetic ---- */

static inline float mcugen_f32_add(float a, float b)
{
    return a + b;
}

static inline float mcugen_f32_sub(float a, float b)
{
    return a - b;
}

static inline float mcugen_f32_mul(float a, float b)
{
    return a * b;
}

static inline float mcugen_f32_div(float a, float b)
{
    return a / b;
}

static inline float mcugen_f32_squared_difference(float a, float b)
{
    const float difference = a - b;
    return difference * difference;
}

static inline float mcugen_f32_neg(float x)
{
    return -x;
}

static inline float mcugen_f32_abs(float x)
{
    return mcugen_float_of_bits(mcugen_bits_of_float(x) & ~MCUGEN_F32_SIGN);
}

/* 1, -1, or x itself: 0, -0, NaN. */
static inline float mcugen_f32_sign(float x)
{
    return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x;
}

/* x for x >= 0 with the sign of y. */
static inline float mcugen_f32_with_sign(float x, float y)
{
    return mcugen_float_of_bits(mcugen_bits_of_float(x) | (mcugen_bits_of_float(y) & MCUGEN_F32_SIGN));
}

/* ---- bounds and pieces ---- */

static inline float mcugen_f32_max(float a, float b)
{
    return a < b ? b : a;
}

static inline float mcugen_f32_min(float a, float b)
{
    return b < a ? b : a;
}

static inline float mcugen_f32_clip(float x, float lo, float hi)
{
    return mcugen_float_clamp(x, lo, hi);
}

static inline float mcugen_f32_prelu(float x, float slope)
{
    return x < 0.0f ? x * slope : x;
}

static inline float mcugen_f32_leaky_relu(float x, float alpha)
{
    return mcugen_f32_prelu(x, alpha);
}

static inline float mcugen_f32_thresholded_relu(float x, float alpha)
{
    return x > alpha ? x : 0.0f;
}

static inline float mcugen_f32_shrink(float x, float lambd, float bias)
{
    return x < -lambd ? x + bias : x > lambd ? x - bias : 0.0f;
}

static inline float mcugen_f32_hard_sigmoid(float x, float alpha, float beta)
{
    return mcugen_float_clamp(alpha * x + beta, 0.0f, 1.0f);
}

static inline float mcugen_f32_hard_swish(float x)
{
    return x * (mcugen_float_clamp(x + 3.0f, 0.0f, 6.0f) * 0.16666667f);
}

static inline float mcugen_f32_softsign(float x)
{
    return x / (1.0f + mcugen_f32_abs(x));
}

/* To an integer: the nearest, halves to even; what is 2^23 or more is one. */
static inline float mcugen_f32_round(float x)
{
    const float size = mcugen_f32_abs(x);
    return size < 8388608.0f ? mcugen_f32_with_sign((size + 8388608.0f) - 8388608.0f, x) : x;
}

static inline float mcugen_f32_floor(float x)
{
    const float nearest = mcugen_f32_round(x);
    return nearest > x ? nearest - 1.0f : nearest;
}

static inline float mcugen_f32_ceil(float x)
{
    return -mcugen_f32_floor(-x);
}

/* ---- roots ---- */

/* Correctly rounded, digit by digit in integers. */
static inline float mcugen_f32_sqrt(float x)
{
    int32_t exponent = 0; /* of 2, even */
    if (!(x > 0.0f && x < MCUGEN_INFINITY)) {
        return x < 0.0f ? mcugen_f32_nan() : x;
    }
    if (x < 1.17549435e-38f) { /* subnormal */
        x *= 16777216.0f;
        exponent = -24;
    }
    const uint32_t bits = mcugen_bits_of_float(x);
    exponent += (int32_t)(bits >> 23) - 127;
    uint32_t rest = ((bits & 0x7FFFFFu) | 0x800000u) << 1;
    if (exponent % 2 != 0) {
        rest <<= 1;
        exponent -= 1;
    }
    uint32_t root = 0, twice = 0; /* twice: the digits so far, as they are subtracted */
    for (uint32_t digit = 1u << 24; digit != 0u; digit >>= 1) {
        if (twice + digit <= rest) {
            rest -= twice + digit;
            twice += 2u * digit;
            root += digit;
        }
        rest <<= 1;
    }
    root = (root + (rest != 0u ? root & 1u : 0u)) >> 1; /* the last digit is half a unit */
    return mcugen_float_of_bits(root + ((uint32_t)(exponent / 2 + 126) << 23));
}

static inline float mcugen_f32_rsqrt(float x)
{
    return 1.0f / mcugen_f32_sqrt(x);
}

/* ---- exponentials ---- */

/* 2^n for -126 <= n <= 127. */
static inline float mcugen_f32_power_of_2(int32_t n)
{
    return mcugen_float_of_bits((uint32_t)(n + 127) << 23);
}

/* e^x = 2^n (1 + part) for |x| <= 104, where |part| < 0.42; gives n. */
static inline int32_t mcugen_f32_exp_parts(float x, float *part)
{
    const float n = (x * 1.442695f + 12582912.0f) - 12582912.0f; /* the nearest integer */
    const float r = (x - n * 0.69335938f) + n * 2.1219444e-4f;   /* ln(2) in two parts */
    const float series =
        (((0.0013881983f * r + 0.008369154f) * r + 0.04166732f) * r + 0.16666517f) * r + 0.49999997f;
    *part = r + r * r * series;
    return (int32_t)n;
}

static inline float mcugen_f32_exp(float x)
{
    float part;
    if (!(x < 89.0f)) {
        return x > 0.0f ? MCUGEN_INFINITY : x;
    }
    if (x < -104.0f) {
        return 0.0f;
    }
    const int32_t n = mcugen_f32_exp_parts(x, &part);
    return (1.0f + part) * mcugen_f32_power_of_2(n / 2) * mcugen_f32_power_of_2(n - n / 2);
}

/* e^x - 1 */
static inline float mcugen_f32_expm1(float x)
{
    float part;
    if (!(x < 18.0f)) {
        return mcugen_f32_exp(x);
    }
    if (x < -18.0f) {
        return -1.0f;
    }
    const float power = mcugen_f32_power_of_2(mcugen_f32_exp_parts(x, &part));
    return power * part + (power - 1.0f);
}

static inline float mcugen_f32_sigmoid(float x)
{
    const float e = mcugen_f32_exp(-mcugen_f32_abs(x));
    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

static inline float mcugen_f32_tanh(float x)
{
    const float size = mcugen_f32_abs(x);
    float result;
    if (size < 0.625f) {
        const float z = size * size;
        const float series =
            (((-0.0057049785f * z + 0.020639079f) * z - 0.053739712f) * z + 0.13331442f) * z - 0.3333328f;
        result = size + size * (z * series);
    } else if (size < 10.0f) {
        result = 1.0f - 2.0f / (mcugen_f32_exp(2.0f * size) + 1.0f);
    } else {
        result = size > 0.0f ? 1.0f : size;
    }
    return mcugen_f32_with_sign(result, x);
}

static inline float mcugen_f32_silu(float x)
{
    return x * mcugen_f32_sigmoid(x);
}

static inline float mcugen_f32_elu(float x, float alpha)
{
    return x < 0.0f ? alpha * mcugen_f32_expm1(x) : x;
}

static inline float mcugen_f32_selu(float x, float alpha, float gamma)
{
    return gamma * mcugen_f32_elu(x, alpha);
}

static inline float mcugen_f32_celu(float x, float alpha)
{
    return x < 0.0f ? alpha * mcugen_f32_expm1(x / alpha) : x;
}

/* x tanh(log(1 + e^x)), where tanh is n / (n + 2) for n = e^x (e^x + 2) */
static inline float mcugen_f32_mish(float x)
{
    const float e = mcugen_f32_exp(x < 20.0f ? x : 20.0f);
    const float n = e * (e + 2.0f);
    return x * (n / (n + 2.0f));
}

static inline float mcugen_f32_erf(float x)
{
    const float size = mcugen_f32_abs(x);
    float result;
    if (size < 0.9375f) {
        const float z = size * size;
        const float series =
            (((((8.185091e-5f * z - 8.0977025e-4f) * z + 0.005196952f) * z - 0.026857706f) * z +
              0.11283664f) *
                 z -
             0.37612632f) *
                z +
            0.12837917f;
        result = size + size * series;
    } else if (size < 4.0f) { /* 1 - erf is e to a polynomial */
        const float series =
            ((((-2.1353299e-4f * size + 0.0032113183f) * size - 0.022878611f) * size + 0.10524467f) * size +
             0.6357309f) *
                size +
            0.12851076f;
        result = 1.0f - mcugen_f32_exp(-(size + size * series));
    } else {
        result = size > 0.0f ? 1.0f : size;
    }
    return mcugen_f32_with_sign(result, x);
}

static inline float mcugen_f32_gelu(float x)
{
    return 0.5f * x * (1.0f + mcugen_f32_erf(x * 0.70710677f));
}

/* 0.5 x (1 + tanh(u)) for u = sqrt(2 / pi) (x + 0.044715 x^3), which is x sigmoid(2 u) */
static inline float mcugen_f32_gelu_tanh(float x)
{
    return x * mcugen_f32_sigmoid(1.5957692f * (x + 0.044715f * (x * x * x)));
}

/* ---- logarithms ---- */

static inline float mcugen_f32_log(float x)
{
    int32_t exponent = 0;
    if (!(x > 0.0f && x < MCUGEN_INFINITY)) {
        return x < 0.0f ? mcugen_f32_nan() : x == 0.0f ? -MCUGEN_INFINITY : x;
    }
    if (x < 1.17549435e-38f) { /* subnormal */
        x *= 16777216.0f;
        exponent = -24;
    }
    const uint32_t bits = mcugen_bits_of_float(x);
    float f = mcugen_float_of_bits((bits & 0x7FFFFFu) | 0x3F800000u);
    exponent += (int32_t)(bits >> 23) - 127;
    if (f > 1.4142135f) {
        f *= 0.5f;
        exponent += 1;
    }
    f -= 1.0f;
    const float n = (float)exponent;
    const float z = f * f;
    const float series =
        (((((((0.067466013f * f - 0.11675641f) * f + 0.11888175f) * f - 0.12405591f) * f + 0.14219551f) * f -
           0.16667996f) *
              f +
          0.20002119f) *
             f -
         0.25000009f) *
            f +
        0.33333313f;
    const float rest = (f * z * series - n * 2.1219444e-4f) - 0.5f * z; /* ln(2) in two parts, as above */
    return (f + rest) + n * 0.69335938f;
}

/* log(1 + e^x) */
static inline float mcugen_f32_softplus(float x)
{
    const float e = mcugen_f32_exp(-mcugen_f32_abs(x));
    const float sum = 1.0f + e;
    const float log1p = mcugen_f32_log(sum) + (e - (sum - 1.0f)) / sum; /* and what the sum lost */
    return (x < 0.0f ? 0.0f : x) + log1p;
}

/* ---- circles ---- */

/* x >= 0.5 as quarters of a circle (modulo 4) and what is left, |rest| <= pi / 4. */
static inline uint32_t mcugen_f32_quarters(float x, float *rest)
{
    /* 2 / pi in binary: each word begins 8 bits later than the one before. */
    static const uint32_t digits[25] = {
        0x00000000u, 0x000000A2u, 0x0000A2F9u, 0x00A2F983u, 0xA2F9836Eu, 0xF9836E4Eu, 0x836E4E44u,
        0x6E4E4415u, 0x4E441529u, 0x441529FCu, 0x1529FC27u, 0x29FC2757u, 0xFC2757D1u, 0x2757D1F5u,
        0x57D1F534u, 0xD1F534DDu, 0xF534DDC0u, 0x34DDC0DBu, 0xDDC0DB62u, 0xC0DB6295u, 0xDB629599u,
        0x6295993Cu, 0x95993C43u, 0x993C4390u, 0x3C439041u,
    };
    const uint32_t bits = mcugen_bits_of_float(x);
    const uint32_t *window = digits + ((bits >> 26) - 15u);
    const uint32_t mantissa = ((bits & 0x7FFFFFu) | 0x800000u) << ((bits >> 23) & 7u);
    const uint64_t half = (uint64_t)1 << 61;
    /* x * 2 / pi modulo 4, times 2^62 */
    uint64_t turn = (uint64_t)(mantissa * window[0]) << 32;
    turn += (uint64_t)mantissa * window[4];
    turn += ((uint64_t)mantissa * window[8]) >> 32;
    turn += half;
    *rest = (float)((int64_t)(turn & (2u * half - 1u)) - (int64_t)half) * 3.4061215e-19f; /* pi / 2 * 2^-62 */
    return (uint32_t)(turn >> 62);
}

/* The sine of x >= 0 and some quarters of a circle. */
static inline float mcugen_f32_sine(float x, uint32_t quarters)
{
    float rest = x;
    float result;
    if (!(x < MCUGEN_INFINITY)) {
        return mcugen_f32_nan();
    }
    if (x > 0.78539819f) {
        quarters += mcugen_f32_quarters(x, &rest);
    }
    const float z = rest * rest;
    if ((quarters & 1u) != 0u) {
        const float series = (2.4432784e-5f * z - 0.0013887313f) * z + 0.041666646f;
        result = (1.0f - 0.5f * z) + z * z * series;
    } else {
        const float series = (-1.9514957e-4f * z + 0.008332158f) * z - 0.16666655f;
        result = rest + rest * (z * series);
    }
    return (quarters & 2u) != 0u ? -result : result;
}

static inline float mcugen_f32_sin(float x)
{
    const float result = mcugen_f32_sine(mcugen_f32_abs(x), 0u);
    return (mcugen_bits_of_float(x) & MCUGEN_F32_SIGN) != 0u ? -result : result;
}

static inline float mcugen_f32_cos(float x)
{
    return mcugen_f32_sine(mcugen_f32_abs(x), 1u);
}

static inline float mcugen_f32_atan(float x)
{
    const float size = mcugen_f32_abs(x);
    float f = size;
    float base = 0.0f;
    if (size > 2.4142137f) {
        f = -1.0f / size;
        base = 1.5707964f;
    } else if (size > 0.41421357f) {
        f = (size - 1.0f) / (size + 1.0f);
        base = 0.78539819f;
    }
    const float z = f * f;
    const float series =
        (((-0.060759082f * z + 0.10592943f) * z - 0.14243422f) * z + 0.19998465f) * z - 0.33333316f;
    return mcugen_f32_with_sign(base + (f + f * (z * series)), x);
}

#endif
