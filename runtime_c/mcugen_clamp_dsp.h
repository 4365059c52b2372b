/* SPDX-License-Identifier: 0BSD */
/* mcugen_clamp_dsp.h - the clamp of a fused activation, for outputs that are there. */
#ifndef MCUGEN_CLAMP_DSP_H
#define MCUGEN_CLAMP_DSP_H

#include "mcugen_dsp.h"

/* count bytes clamped to lo..hi. */
MCUGEN_DSP_FUNCTION void mcugen_clamp_bytes(int8_t *y, int32_t count, int32_t lo, int32_t hi)
{
    const uint32_t four_lo = UINT32_C(0x01010101) * ((uint32_t)lo & 255u);
    const uint32_t four_hi = UINT32_C(0x01010101) * ((uint32_t)hi & 255u);
    for (; count >= 4; count -= 4) {
        mcugen_store_word(y, mcugen_min8(mcugen_max8(mcugen_load_word(y), four_lo), four_hi));
        y += 4;
    }
    for (; count > 0; --count) {
        *y = (int8_t)mcugen_clamp(*y, lo, hi);
        ++y;
    }
}

#endif
