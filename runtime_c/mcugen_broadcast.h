/* SPDX-License-Identifier: 0BSD */
/* mcugen_broadcast.h - where the rows of two broadcast operands begin. */
#ifndef MCUGEN_BROADCAST_H
#define MCUGEN_BROADCAST_H

#include <stdint.h>

/* Nested loops over the rows of an output, outermost first: extents, and the steps of both operands in elements. */
typedef struct {
    int32_t rows;
    int32_t extent[5], a_step[5], b_step[5];
} mcugen_broadcast_t;

/* The first elements of a row in both operands. */
typedef struct {
    int32_t a, b;
} mcugen_operands_t;

static inline mcugen_operands_t mcugen_broadcast_row(const mcugen_broadcast_t *loops, int32_t row)
{
    mcugen_operands_t at = {0, 0};
    for (int32_t axis = 4; row > 0; --axis) {
        const int32_t index = row % loops->extent[axis];
        at.a += index * loops->a_step[axis];
        at.b += index * loops->b_step[axis];
        row /= loops->extent[axis];
    }
    return at;
}

#endif
