/* SPDX-License-Identifier: 0BSD */
/* mcugen_dynamic.h - a float32 input as int8, by its own range in this inference. */
#ifndef MCUGEN_DYNAMIC_H
#define MCUGEN_DYNAMIC_H

#include <float.h>

#include "mcugen_float.h"

typedef struct {
    float scale;
    int32_t zero_point;
} mcugen_dynamic_t;

/* The nearest integer of a number within int32, halves away from zero. */
static inline int32_t mcugen_dynamic_round(float x)
{
    const int32_t q = (int32_t)x;
    const float rest = x - (float)q;
    return q + (rest >= 0.5f ? 1 : rest <= -0.5f ? -1 : 0);
}

/* Writes q[i] for each of `count` x[i]; gives what they stand for: x = scale * (q - zero_point). */
MCUGEN_CODE static mcugen_dynamic_t mcugen_dynamic_quantize(const mcugen_float_t *x, int8_t *q, int32_t count)
{
    mcugen_dynamic_t result;
    float lo = 0.0f, hi = 0.0f;
    for (int32_t i = 0; i < count; ++i) {
        lo = x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
    }
    result.scale = (hi - lo) / 255.0f;
    if (!(result.scale >= FLT_MIN) || !(result.scale <= FLT_MAX)) {
        result.scale = 1.0f;
    }
    const float inverse = 1.0f / result.scale;
    result.zero_point = mcugen_dynamic_round(mcugen_float_clamp(-128.0f - lo * inverse, -128.0f, 127.0f));
    for (int32_t i = 0; i < count; ++i) {
        const float scaled = mcugen_float_clamp(x[i] * inverse, -255.0f, 255.0f);
        const int32_t steps = scaled == scaled ? mcugen_dynamic_round(scaled) : 0;
        const int32_t moved = steps + result.zero_point;
        q[i] = (int8_t)(moved < -128 ? -128 : moved > 127 ? 127 : moved);
    }
    return result;
}

#endif
