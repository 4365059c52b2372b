/* SPDX-License-Identifier: 0BSD */
/* mcugen_float.h - float32 whose every bit is defined: each operation rounds once, in the order in which it is written.
 *
 * No compiler may contract a * b + c into one rounding, reorder sums, or compute in a wider type. */
#ifndef MCUGEN_FLOAT_H
#define MCUGEN_FLOAT_H

#include <stdint.h>

#include "mcugen_fixed.h"
#include "mcugen_wide.h"

#if defined(__FAST_MATH__)
#error "compile without -ffast-math (-Ofast): it changes results"
#endif
#if defined(__FLT_EVAL_METHOD__) && (__FLT_EVAL_METHOD__ == 1 || __FLT_EVAL_METHOD__ == 2)
#error "float must be computed as float: compile for SSE (-msse2 -mfpmath=sse)"
#endif
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

/* Infinity as a constant; compilers without a C library have no math.h. */
#if defined(__GNUC__)
#define MCUGEN_INFINITY __builtin_huge_valf()
#else
#include <math.h>
#define MCUGEN_INFINITY HUGE_VALF
#endif

/* The bits of a float and back. */
typedef union {
    float value;
    uint32_t bits;
} mcugen_float_bits_t;

static inline float mcugen_float_of_bits(uint32_t bits)
{
    mcugen_float_bits_t both;
    both.bits = bits;
    return both.value;
}

static inline uint32_t mcugen_bits_of_float(float value)
{
    mcugen_float_bits_t both;
    both.value = value;
    return both.bits;
}

static inline float mcugen_float_clamp(float x, float lo, float hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}

/* How stored weights become float32: as they are, or from the bits of an IEEE half, which is finite. */
static inline float mcugen_widen_float32(float stored)
{
    return stored;
}

static inline float mcugen_widen_float16(uint16_t stored)
{
    const uint32_t magnitude = (uint32_t)(stored & 0x7FFFu) << 13;
    /* The exponent's bias is 15 instead of 127: times 2^112, which also makes subnormal halves normal, exactly. */
    const float value = mcugen_float_of_bits(magnitude) * mcugen_float_of_bits((127u + 112u) << 23);
    return (stored & 0x8000u) != 0u ? -value : value;
}

#endif
