/* SPDX-License-Identifier: 0BSD */
/* mcugen_winograd.h - the one-dimensional transforms of Winograd's filters F(2, 3) and F(4, 3) on integers; F(1, 1)
 * is none.
 *
 * Everything is computed modulo 2^32. Two channels share a word, high * 65536 + low: sums, differences and shifts of
 * such words are those of both halves. Unlike in a vector of two int16, a negative low half borrows from the high one;
 * MCUGEN_WINOGRAD_ROUND ends that. */
#ifndef MCUGEN_WINOGRAD_H
#define MCUGEN_WINOGRAD_H

#include "mcugen_dsp.h"

/* Adding this to a word before MCUGEN_WINOGRAD_FLIP makes its high half right. */
#define MCUGEN_WINOGRAD_ROUND UINT32_C(0x8000)

/* An accumulator, doubled, to an output: rounded(acc * multiplier / 2^31) / 2^shift + zero point, half away from zero.
 * rounding: 2^(shift - 1) + zero_point * 2^shift; 1 <= shift. Halves of negative numbers go down by the sign of the
 * accumulator, not of the product: they differ only where that is rounded to 0, and both give 0 then. */
static inline int32_t mcugen_winograd_rescale(int32_t twice, int32_t multiplier, int32_t rounding,
                                              int32_t shift)
{
#if MCUGEN_DSP_INSTRUCTIONS
    int32_t y;
    __asm("smmlar %0, %1, %2, %3" : "=r"(y) : "r"(twice), "r"(multiplier), "r"(rounding));
    return (y + (twice >> 31)) >> shift;
#else
    return (mcugen_smmulr(twice, multiplier) + rounding + (twice >> 31)) >> shift;
#endif
}

/* For functions that are assembly as a whole: they need more registers than compilers leave. */
#if defined(__clang__)
#define MCUGEN_WINOGRAD_ASSEMBLY __attribute__((naked, noinline))
#else
#define MCUGEN_WINOGRAD_ASSEMBLY __attribute__((naked, noinline, noclone, noipa))
#endif

/* v[k * step] = sum of B^T[k][i] d[i], plus `round`, with the same bit flipped: both 0, or both
 * MCUGEN_WINOGRAD_ROUND, which makes two int16 of a word. */
static inline void mcugen_winograd1_input(const uint32_t d[1], uint32_t *v, int32_t step, uint32_t round)
{
    (void)step;
    v[0] = (d[0] + round) ^ round;
}

static inline void mcugen_winograd2_input(const uint32_t d[4], uint32_t *v, int32_t step, uint32_t round)
{
    const uint32_t e = d[2] + round;
    v[0] = (d[0] + round - d[2]) ^ round;
    v[step] = (e + d[1]) ^ round;
    v[2 * step] = (e - d[1]) ^ round;
    v[3 * step] = (d[1] + round - d[3]) ^ round;
}

static inline void mcugen_winograd4_input(const uint32_t d[6], uint32_t *v, int32_t step, uint32_t round)
{
    const uint32_t d4 = d[4] + round;
    const uint32_t a = d4 - (d[2] << 2);
    const uint32_t b = d[3] - (d[1] << 2);
    const uint32_t c = d4 - d[2];
    const uint32_t f = d[3] - d[1];
    v[0] = (c + ((d[0] - d[2]) << 2)) ^ round;
    v[step] = (a + b) ^ round;
    v[2 * step] = (a - b) ^ round;
    v[3 * step] = (c + (f << 1)) ^ round;
    v[4 * step] = (c - (f << 1)) ^ round;
    v[5 * step] = (d[5] + round - d[3] - (f << 2)) ^ round;
}

/* y[k * step] = sum of A^T[k][i] m[i]. y may be where m was loaded from. */
static inline void mcugen_winograd1_output(const uint32_t m[1], uint32_t *y, int32_t step)
{
    (void)step;
    y[0] = m[0];
}

static inline void mcugen_winograd2_output(const uint32_t m[4], uint32_t *y, int32_t step)
{
    y[0] = m[0] + (m[1] + m[2]);
    y[step] = (m[1] - m[2]) - m[3];
}

static inline void mcugen_winograd4_output(const uint32_t m[6], uint32_t *y, int32_t step)
{
    const uint32_t s1 = m[1] + m[2];
    const uint32_t d1 = m[1] - m[2];
    const uint32_t s2 = m[3] + m[4];
    const uint32_t d2 = m[3] - m[4];
    y[0] = m[0] + s1 + s2;
    y[step] = d1 + (d2 << 1);
    y[2 * step] = s1 + (s2 << 2);
    y[3 * step] = d1 + ((d2 + m[5]) << 3);
}

#endif
