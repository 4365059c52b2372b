/* SPDX-License-Identifier: 0BSD */
/* mcugen_wide.h - wider elements in the arena and in states, which are declared as bytes. */
#ifndef MCUGEN_WIDE_H
#define MCUGEN_WIDE_H

#include <stdint.h>

/* Compilers that reason with types are told that such an access may touch any object. */
#if defined(__GNUC__)
typedef int16_t __attribute__((may_alias)) mcugen_int16_t;
typedef int32_t __attribute__((may_alias)) mcugen_int32_t;
#else
typedef int16_t mcugen_int16_t;
typedef int32_t mcugen_int32_t;
#endif

/* The arena or states at `place`, a multiple of 2 bytes from their start, as int16. */
static inline mcugen_int16_t *mcugen_int16(int8_t *place)
{
    return (mcugen_int16_t *)(void *)place;
}

/* The arena at `place`, a multiple of 4 bytes from its start, as int32. */
static inline mcugen_int32_t *mcugen_int32(int8_t *place)
{
    return (mcugen_int32_t *)(void *)place;
}

#endif
