/* SPDX-License-Identifier: 0BSD */
/* mcugen_dsp.h - the instructions of the Arm DSP extension that kernels use, each with its twin in plain C.
 *
 * A word holds two int16 halves, bottom (bits 0-15) and top, or four int8 bytes; the byte at the lowest address is
 * the lowest one. Sums wrap. Other computers than Arm's run the twins, so that kernels can be tested there. */
#ifndef MCUGEN_DSP_H
#define MCUGEN_DSP_H

#include <stdint.h>

#include "mcugen_fixed.h"

#if defined(__BYTE_ORDER__) && defined(__ORDER_LITTLE_ENDIAN__)
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "mcugen's kernels for the DSP extension are for little-endian memory"
#endif
#endif

#if defined(__arm__) && !defined(__ARM_FEATURE_DSP)
#error \
    "this library is for cores with the DSP extension (Cortex-M4, M7, M33 with DSP): set -mcpu, or generate it for another board"
#endif

#if defined(__ARM_FEATURE_DSP)
#define MCUGEN_DSP_INSTRUCTIONS 1
#else
#define MCUGEN_DSP_INSTRUCTIONS 0
#endif

/* Functions of their own that a library need not use. */
#if defined(__GNUC__)
#define MCUGEN_DSP_FUNCTION MCUGEN_CODE __attribute__((noinline, unused)) static
#else
#define MCUGEN_DSP_FUNCTION MCUGEN_CODE static
#endif

/* Words in memory at any address: compilers are told that such an access may touch any object. */
#if defined(__GNUC__)
typedef uint32_t __attribute__((may_alias, aligned(1))) mcugen_word_t;
typedef uint16_t __attribute__((may_alias, aligned(1))) mcugen_half_t;
typedef uint32_t __attribute__((may_alias)) mcugen_aligned_word_t;
#else
typedef uint32_t mcugen_aligned_word_t;
#endif

static inline uint32_t mcugen_load_word(const void *place)
{
#if defined(__GNUC__)
    return *(const mcugen_word_t *)place;
#else
    const uint8_t *b = (const uint8_t *)place;
    return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
#endif
}

static inline uint32_t mcugen_load_half(const void *place)
{
#if defined(__GNUC__)
    return *(const mcugen_half_t *)place;
#else
    const uint8_t *b = (const uint8_t *)place;
    return b[0] | (uint32_t)b[1] << 8;
#endif
}

static inline void mcugen_store_word(void *place, uint32_t word)
{
#if defined(__GNUC__)
    *(mcugen_word_t *)place = word;
#else
    uint8_t *b = (uint8_t *)place;
    b[0] = (uint8_t)word;
    b[1] = (uint8_t)(word >> 8);
    b[2] = (uint8_t)(word >> 16);
    b[3] = (uint8_t)(word >> 24);
#endif
}

static inline void mcugen_store_half(void *place, uint32_t half)
{
#if defined(__GNUC__)
    *(mcugen_half_t *)place = (uint16_t)half;
#else
    uint8_t *b = (uint8_t *)place;
    b[0] = (uint8_t)half;
    b[1] = (uint8_t)(half >> 8);
#endif
}

/* The same at multiples of four bytes, where the compiler may join accesses. */
static inline uint32_t mcugen_load_aligned_word(const void *place)
{
    return *(const mcugen_aligned_word_t *)place;
}

static inline void mcugen_store_aligned_word(void *place, uint32_t word)
{
    *(mcugen_aligned_word_t *)place = word;
}

/* The halves of a word, and a word of two halves. */
static inline int32_t mcugen_bottom(uint32_t x)
{
    return (int16_t)(x & UINT32_C(0xFFFF));
}

static inline int32_t mcugen_top(uint32_t x)
{
    return (int16_t)(x >> 16);
}

static inline uint32_t mcugen_halves(int32_t bottom, int32_t top)
{
    return ((uint32_t)bottom & UINT32_C(0xFFFF)) | (uint32_t)top << 16;
}

/* a + b, wrapping. */
static inline int32_t mcugen_wrapping_add(int32_t a, int32_t b)
{
    return (int32_t)((uint32_t)a + (uint32_t)b);
}

#if MCUGEN_DSP_INSTRUCTIONS

/* One instruction each. Not volatile: compilers may move them, or leave them out. */
#define MCUGEN_DSP_TWO(name, mnemonic, result, type)              \
    static inline result mcugen_##name(type a, type b)            \
    {                                                             \
        result y;                                                 \
        __asm(mnemonic " %0, %1, %2" : "=r"(y) : "r"(a), "r"(b)); \
        return y;                                                 \
    }
#define MCUGEN_DSP_SUM(name, mnemonic)                                          \
    static inline int32_t mcugen_##name(uint32_t a, uint32_t b, int32_t sum)    \
    {                                                                           \
        int32_t y;                                                              \
        __asm(mnemonic " %0, %1, %2, %3" : "=r"(y) : "r"(a), "r"(b), "r"(sum)); \
        return y;                                                               \
    }

MCUGEN_DSP_SUM(smlad, "smlad")
MCUGEN_DSP_SUM(smladx, "smladx")
MCUGEN_DSP_SUM(smlabb, "smlabb")
MCUGEN_DSP_SUM(smlabt, "smlabt")
MCUGEN_DSP_SUM(smlatb, "smlatb")
MCUGEN_DSP_SUM(smlatt, "smlatt")
MCUGEN_DSP_TWO(smuad, "smuad", int32_t, uint32_t)
MCUGEN_DSP_TWO(smulbb, "smulbb", int32_t, uint32_t)
MCUGEN_DSP_TWO(smulbt, "smulbt", int32_t, uint32_t)
MCUGEN_DSP_TWO(smultb, "smultb", int32_t, uint32_t)
MCUGEN_DSP_TWO(smultt, "smultt", int32_t, uint32_t)
MCUGEN_DSP_TWO(smmul, "smmul", int32_t, int32_t)
MCUGEN_DSP_TWO(smmulr, "smmulr", int32_t, int32_t)
MCUGEN_DSP_TWO(sadd16, "sadd16", uint32_t, uint32_t)
MCUGEN_DSP_TWO(ssub16, "ssub16", uint32_t, uint32_t)
MCUGEN_DSP_TWO(sxtab16, "sxtab16", uint32_t, uint32_t)

static inline uint32_t mcugen_sxtb16(uint32_t x)
{
    uint32_t y;
    __asm("sxtb16 %0, %1" : "=r"(y) : "r"(x));
    return y;
}

static inline uint32_t mcugen_sxtb16_ror8(uint32_t x)
{
    uint32_t y;
    __asm("sxtb16 %0, %1, ror #8" : "=r"(y) : "r"(x));
    return y;
}

static inline uint32_t mcugen_sxtab16_ror8(uint32_t a, uint32_t x)
{
    uint32_t y;
    __asm("sxtab16 %0, %1, %2, ror #8" : "=r"(y) : "r"(a), "r"(x));
    return y;
}

static inline uint32_t mcugen_pkhbt(uint32_t bottom, uint32_t top)
{
    uint32_t y;
    __asm("pkhbt %0, %1, %2, lsl #16" : "=r"(y) : "r"(bottom), "r"(top));
    return y;
}

static inline uint32_t mcugen_pkhtb(uint32_t top, uint32_t bottom)
{
    uint32_t y;
    __asm("pkhtb %0, %1, %2, asr #16" : "=r"(y) : "r"(top), "r"(bottom));
    return y;
}

/* Of bytes: the larger and the smaller ones. */
static inline uint32_t mcugen_max8(uint32_t a, uint32_t b)
{
    uint32_t y;
    __asm("ssub8 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(y) : "r"(a), "r"(b));
    return y;
}

static inline uint32_t mcugen_min8(uint32_t a, uint32_t b)
{
    uint32_t y;
    __asm("ssub8 %0, %1, %2\n\tsel %0, %2, %1" : "=&r"(y) : "r"(a), "r"(b));
    return y;
}

static inline int32_t mcugen_ssat8(int32_t x)
{
    int32_t y;
    __asm("ssat %0, #8, %1" : "=r"(y) : "r"(x));
    return y;
}

static inline int32_t mcugen_ssat16(int32_t x)
{
    int32_t y;
    __asm("ssat %0, #16, %1" : "=r"(y) : "r"(x));
    return y;
}

static inline int64_t mcugen_smlald(uint32_t a, uint32_t b, int64_t sum)
{
    uint32_t low = (uint32_t)(uint64_t)sum;
    uint32_t high = (uint32_t)((uint64_t)sum >> 32);
    __asm("smlald %0, %1, %2, %3" : "+r"(low), "+r"(high) : "r"(a), "r"(b));
    return (int64_t)((uint64_t)high << 32 | low);
}

#undef MCUGEN_DSP_TWO
#undef MCUGEN_DSP_SUM

#else

/* sum + products of halves: b and t say which of a's and which of b's. */
static inline int32_t mcugen_smlabb(uint32_t a, uint32_t b, int32_t sum)
{
    return mcugen_wrapping_add(sum, mcugen_bottom(a) * mcugen_bottom(b));
}

static inline int32_t mcugen_smlabt(uint32_t a, uint32_t b, int32_t sum)
{
    return mcugen_wrapping_add(sum, mcugen_bottom(a) * mcugen_top(b));
}

static inline int32_t mcugen_smlatb(uint32_t a, uint32_t b, int32_t sum)
{
    return mcugen_wrapping_add(sum, mcugen_top(a) * mcugen_bottom(b));
}

static inline int32_t mcugen_smlatt(uint32_t a, uint32_t b, int32_t sum)
{
    return mcugen_wrapping_add(sum, mcugen_top(a) * mcugen_top(b));
}

/* sum + both products; x: of the bottom half with the top one. */
static inline int32_t mcugen_smlad(uint32_t a, uint32_t b, int32_t sum)
{
    return mcugen_smlatt(a, b, mcugen_smlabb(a, b, sum));
}

static inline int32_t mcugen_smladx(uint32_t a, uint32_t b, int32_t sum)
{
    return mcugen_smlatb(a, b, mcugen_smlabt(a, b, sum));
}

static inline int32_t mcugen_smuad(uint32_t a, uint32_t b)
{
    return mcugen_smlad(a, b, 0);
}

static inline int32_t mcugen_smulbb(uint32_t a, uint32_t b)
{
    return mcugen_smlabb(a, b, 0);
}

static inline int32_t mcugen_smulbt(uint32_t a, uint32_t b)
{
    return mcugen_smlabt(a, b, 0);
}

static inline int32_t mcugen_smultb(uint32_t a, uint32_t b)
{
    return mcugen_smlatb(a, b, 0);
}

static inline int32_t mcugen_smultt(uint32_t a, uint32_t b)
{
    return mcugen_smlatt(a, b, 0);
}

static inline int64_t mcugen_smlald(uint32_t a, uint32_t b, int64_t sum)
{
    const int64_t both = (int64_t)mcugen_smulbb(a, b) + mcugen_smultt(a, b);
    return (int64_t)((uint64_t)sum + (uint64_t)both);
}

/* The upper 32 bits of the product, rounded down; r: half towards +infinity. */
static inline int32_t mcugen_smmul(int32_t a, int32_t b)
{
    return (int32_t)(((int64_t)a * b) >> 32);
}

static inline int32_t mcugen_smmulr(int32_t a, int32_t b)
{
    return (int32_t)(((int64_t)a * b + INT64_C(0x80000000)) >> 32);
}

/* Sums and differences of both halves. */
static inline uint32_t mcugen_sadd16(uint32_t a, uint32_t b)
{
    return mcugen_halves(mcugen_bottom(a) + mcugen_bottom(b), mcugen_top(a) + mcugen_top(b));
}

static inline uint32_t mcugen_ssub16(uint32_t a, uint32_t b)
{
    return mcugen_halves(mcugen_bottom(a) - mcugen_bottom(b), mcugen_top(a) - mcugen_top(b));
}

/* Bytes 0 and 2 as halves; ror8: bytes 1 and 3; a: added to halves. */
static inline uint32_t mcugen_sxtb16(uint32_t x)
{
    return mcugen_halves((int8_t)(x & 255u), (int8_t)(x >> 16 & 255u));
}

static inline uint32_t mcugen_sxtb16_ror8(uint32_t x)
{
    return mcugen_halves((int8_t)(x >> 8 & 255u), (int8_t)(x >> 24));
}

static inline uint32_t mcugen_sxtab16(uint32_t a, uint32_t x)
{
    return mcugen_sadd16(a, mcugen_sxtb16(x));
}

static inline uint32_t mcugen_sxtab16_ror8(uint32_t a, uint32_t x)
{
    return mcugen_sadd16(a, mcugen_sxtb16_ror8(x));
}

/* A word of two bottom halves, and of two top halves. */
static inline uint32_t mcugen_pkhbt(uint32_t bottom, uint32_t top)
{
    return (bottom & UINT32_C(0xFFFF)) | top << 16;
}

static inline uint32_t mcugen_pkhtb(uint32_t top, uint32_t bottom)
{
    return (top & UINT32_C(0xFFFF0000)) | bottom >> 16;
}

static inline uint32_t mcugen_max8(uint32_t a, uint32_t b)
{
    uint32_t y = 0;
    for (int32_t bit = 0; bit < 32; bit += 8) {
        const int8_t p = (int8_t)(a >> bit & 255u), q = (int8_t)(b >> bit & 255u);
        y |= (uint32_t)(uint8_t)(p >= q ? p : q) << bit;
    }
    return y;
}

static inline uint32_t mcugen_min8(uint32_t a, uint32_t b)
{
    return ~mcugen_max8(~a, ~b);
}

static inline int32_t mcugen_ssat8(int32_t x)
{
    return mcugen_clamp(x, -128, 127);
}

static inline int32_t mcugen_ssat16(int32_t x)
{
    return mcugen_clamp(x, -32768, 32767);
}

#endif

#endif
