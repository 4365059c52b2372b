/* SPDX-License-Identifier: 0BSD */
/* mcugen_window.h - which taps of a sliding window lie inside. */
#ifndef MCUGEN_WINDOW_H
#define MCUGEN_WINDOW_H

#include <stdint.h>

/* The taps first..end-1 of a window along one axis. */
typedef struct {
    int32_t first, end;
} mcugen_taps_t;

/* Those of `taps` positions start, start + dilation, ... that lie in low..high-1. dilation >= 1. */
static inline mcugen_taps_t mcugen_taps_inside(int32_t start, int32_t taps, int32_t dilation, int32_t low,
                                               int32_t high)
{
    mcugen_taps_t inside = {0, taps};
    while (inside.first < inside.end && start + inside.first * dilation < low) {
        ++inside.first;
    }
    while (inside.first < inside.end && start + (inside.end - 1) * dilation >= high) {
        --inside.end;
    }
    return inside;
}

#endif
