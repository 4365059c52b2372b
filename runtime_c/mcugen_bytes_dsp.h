/* SPDX-License-Identifier: 0BSD */
/* mcugen_bytes_dsp.h - instructions of the Arm DSP extension for kernels that take four bytes or two halves at a
 * time, each with its twin in plain C. */
#ifndef MCUGEN_BYTES_DSP_H
#define MCUGEN_BYTES_DSP_H

#include "mcugen_dsp.h"

/* What masks the upper byte of each half. Kept in a register, it is shifted against in one instruction. */
static inline uint32_t mcugen_upper_bytes(void)
{
    uint32_t mask = UINT32_C(0xFF00FF00);
#if MCUGEN_DSP_INSTRUCTIONS
    __asm("" : "+r"(mask));
#endif
    return mask;
}

#if MCUGEN_DSP_INSTRUCTIONS

#define MCUGEN_BYTES_SUM(name, mnemonic)                                        \
    static inline int32_t mcugen_##name(int32_t a, uint32_t b, int32_t sum)     \
    {                                                                           \
        int32_t y;                                                              \
        __asm(mnemonic " %0, %1, %2, %3" : "=r"(y) : "r"(a), "r"(b), "r"(sum)); \
        return y;                                                               \
    }

static inline int32_t mcugen_smmlar(int32_t a, int32_t b, int32_t sum)
{
    int32_t y;
    __asm("smmlar %0, %1, %2, %3" : "=r"(y) : "r"(a), "r"(b), "r"(sum));
    return y;
}

static inline int32_t mcugen_twice(int32_t x)
{
    int32_t y;
    __asm("qadd %0, %1, %1" : "=r"(y) : "r"(x));
    return y;
}

static inline uint32_t mcugen_max16(uint32_t a, uint32_t b)
{
    uint32_t y;
    __asm("ssub16 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(y) : "r"(a), "r"(b));
    return y;
}

static inline uint32_t mcugen_min16(uint32_t a, uint32_t b)
{
    uint32_t y;
    __asm("ssub16 %0, %1, %2\n\tsel %0, %2, %1" : "=&r"(y) : "r"(a), "r"(b));
    return y;
}

MCUGEN_BYTES_SUM(smlawb, "smlawb")
MCUGEN_BYTES_SUM(smlawt, "smlawt")

#undef MCUGEN_BYTES_SUM

#else

/* 2 x, saturating. */
static inline int32_t mcugen_twice(int32_t x)
{
    return mcugen_saturating_shift_left(x, 1);
}

/* The larger, and the smaller, of each pair of int16 in two words. */
static inline uint32_t mcugen_max16(uint32_t a, uint32_t b)
{
    const int32_t bottom = mcugen_bottom(a) > mcugen_bottom(b) ? mcugen_bottom(a) : mcugen_bottom(b);
    const int32_t top = mcugen_top(a) > mcugen_top(b) ? mcugen_top(a) : mcugen_top(b);
    return mcugen_halves(bottom, top);
}

static inline uint32_t mcugen_min16(uint32_t a, uint32_t b)
{
    return ~mcugen_max16(~a, ~b);
}

/* sum + a * b / 2^32, half towards +infinity. */
static inline int32_t mcugen_smmlar(int32_t a, int32_t b, int32_t sum)
{
    return mcugen_wrapping_add(sum, (int32_t)(((int64_t)a * b + INT64_C(0x80000000)) >> 32));
}

/* sum + a * half of b / 2^16, rounded down: the bottom half, and the top one. */
static inline int32_t mcugen_smlawb(int32_t a, uint32_t b, int32_t sum)
{
    return mcugen_wrapping_add(sum, (int32_t)(((int64_t)a * mcugen_bottom(b)) >> 16));
}

static inline int32_t mcugen_smlawt(int32_t a, uint32_t b, int32_t sum)
{
    return mcugen_wrapping_add(sum, (int32_t)(((int64_t)a * mcugen_top(b)) >> 16));
}

#endif

/* The word of four int8, lowest first; mask: mcugen_upper_bytes(). */
static inline uint32_t mcugen_pack_bytes(int32_t y0, int32_t y1, int32_t y2, int32_t y3, uint32_t mask)
{
    const uint32_t even = mcugen_pkhbt((uint32_t)y0, (uint32_t)y2);
    const uint32_t odd = mcugen_pkhbt((uint32_t)y1, (uint32_t)y3);
    return (even & ~mask) | (odd << 8 & mask);
}

/* The same int8 four times. */
static inline uint32_t mcugen_four_bytes(int32_t x)
{
    return (uint32_t)(uint8_t)(x & 255) * UINT32_C(0x01010101);
}

#endif
