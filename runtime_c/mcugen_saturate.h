/* SPDX-License-Identifier: 0BSD */
/* mcugen_saturate.h - to int8 in as few instructions as the core has. */
#ifndef MCUGEN_SATURATE_H
#define MCUGEN_SATURATE_H

#include <stdint.h>

/* x, or the nearest of -128 and 127. */
static inline int32_t mcugen_saturate(int32_t x)
{
#if defined(__ARM_FEATURE_SAT)
    int32_t y;
    __asm("ssat %0, #8, %1" : "=r"(y) : "r"(x));
    return y;
#elif defined(__arm__) || defined(__riscv)
    return x == (int8_t)x ? x : (x >> 31) ^ 127;
#else
    return x < -128 ? -128 : x > 127 ? 127 : x; /* vector minimum and maximum */
#endif
}

#endif
