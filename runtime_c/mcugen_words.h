/* SPDX-License-Identifier: 0BSD */
/* mcugen_words.h - bytes that are moved four at a time where the core can do so at any address. */
#ifndef MCUGEN_WORDS_H
#define MCUGEN_WORDS_H

#include <stdint.h>

/* Whether words may lie at any address; results are the same. */
#if !defined(MCUGEN_WORDS)
#if defined(__GNUC__) && (defined(__ARM_FEATURE_UNALIGNED) || !(defined(__arm__) || defined(__riscv)))
#define MCUGEN_WORDS 1
#else
#define MCUGEN_WORDS 0
#endif
#endif

#if MCUGEN_WORDS
typedef uint32_t __attribute__((may_alias, aligned(1))) mcugen_any_word_t;
#endif

/* y[i] = x[i], as if one byte after the other, ascending: x and y may overlap. */
static inline void mcugen_copy_ascending(const int8_t *x, int8_t *y, int32_t size)
{
    int32_t i = 0;
#if MCUGEN_WORDS
    if ((uintptr_t)y - (uintptr_t)x - 1 >= 3) { /* y is not 1 to 3 bytes behind x */
        for (; i + 4 <= size; i += 4) {
            *(mcugen_any_word_t *)(y + i) = *(const mcugen_any_word_t *)(x + i);
        }
    }
#endif
    for (; i < size; ++i) {
        y[i] = x[i];
    }
}

/* y[i] = four[i % 4]. */
static inline void mcugen_fill_four(int8_t *y, const int8_t four[4], int32_t size)
{
    int32_t i = 0;
#if MCUGEN_WORDS
    const uint32_t word = *(const mcugen_any_word_t *)four;
    for (; i + 4 <= size; i += 4) {
        *(mcugen_any_word_t *)(y + i) = word;
    }
#endif
    for (; i < size; ++i) {
        y[i] = four[i & 3];
    }
}

#endif
