/* SPDX-License-Identifier: 0BSD */
/* mcugen_wide.h - wider elements in the arena, which is declared as bytes. */
#ifndef MCUGEN_WIDE_H
#define MCUGEN_WIDE_H

#include <stdint.h>

/* Compilers that reason with types are told that such an access may touch any object. */
#if defined(__GNUC__)
typedef int32_t __attribute__((may_alias)) mcugen_int32_t;
#else
typedef int32_t mcugen_int32_t;
#endif

/* The arena at `place`, a multiple of 4 bytes from its start, as int32. */
static inline mcugen_int32_t *mcugen_int32(int8_t *place)
{
    return (mcugen_int32_t *)(void *)place;
}

#endif
