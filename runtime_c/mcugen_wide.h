/* SPDX-License-Identifier: 0BSD */
/* mcugen_wide.h - wider elements in the arena, which is declared as bytes. */
#ifndef MCUGEN_WIDE_H
#define MCUGEN_WIDE_H

#include <stdint.h>

typedef int8_t mcugen_int8_t;
typedef uint8_t mcugen_uint8_t;

/* Compilers that reason with types are told that such an access may touch any object. */
#if defined(__GNUC__)
typedef int16_t __attribute__((may_alias)) mcugen_int16_t;
typedef int32_t __attribute__((may_alias)) mcugen_int32_t;
typedef float __attribute__((may_alias)) mcugen_float_t;
#else
typedef int16_t mcugen_int16_t;
typedef int32_t mcugen_int32_t;
typedef float mcugen_float_t;
#endif

/* The arena or the states at `place`, a multiple of the element's bytes from their start. */
static inline mcugen_int8_t *mcugen_int8(int8_t *place)
{
    return place;
}

static inline const mcugen_int8_t *mcugen_const_int8(const int8_t *place)
{
    return place;
}

static inline mcugen_uint8_t *mcugen_uint8(int8_t *place)
{
    return (mcugen_uint8_t *)place;
}

static inline const mcugen_uint8_t *mcugen_const_uint8(const int8_t *place)
{
    return (const mcugen_uint8_t *)place;
}

static inline mcugen_int16_t *mcugen_int16(int8_t *place)
{
    return (mcugen_int16_t *)(void *)place;
}

static inline const mcugen_int16_t *mcugen_const_int16(const int8_t *place)
{
    return (const mcugen_int16_t *)(const void *)place;
}

static inline mcugen_int32_t *mcugen_int32(int8_t *place)
{
    return (mcugen_int32_t *)(void *)place;
}

static inline mcugen_float_t *mcugen_float(int8_t *place)
{
    return (mcugen_float_t *)(void *)place;
}

static inline const mcugen_float_t *mcugen_const_float(const int8_t *place)
{
    return (const mcugen_float_t *)(const void *)place;
}

#endif
