"""Short exact rescaling of int16 outputs for the DSP extension, with one rounding as in TFLM.

y = (acc * m + 2^(s - 1)) >> s with 0 <= m < 2^15 and 1 <= s <= 46, saturated. SMMULR(acc, M) is (acc * M + 2^31) >> 32,
so M = m * 2^(32 - s) gives y in one instruction where s <= 32, M < 2^31 and acc fits int32. Otherwise a shift by e >= 1
follows: ((SMMUL(acc, M) >> e - 1) + 1) >> 1 with M = m * 2^(32 + e - s) is the same, as rounding down several times is
rounding down once. A ReLU is the saturation itself, to 0 .. 2^15 - 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from mcugen.fixed import INT32_MAX, reduced_multiplier
from mcugen.ir import Array, Graph, Node
from mcugen.kernels.output_dsp import channel_bounds
from mcugen.ops.conv2d import output_range, requantization, rounds_once

MOST = 32  # bits of a shift to the right that a multiplier can hold
SATURATIONS = {(-32768, 32767): 0, (0, 32767): 1}  # SSAT 16, USAT 15


class ShortForm(StrEnum):
    """How outputs are made of accumulators, from the shortest on: see mcugen_scale_int16."""

    ONE = "one"
    SHIFTED = "shifted"


@dataclass(frozen=True, eq=False)
class ShortRescaling:
    """Of a layer's channels, int64 [C]: multipliers M and shifts e, all 0 of the form ONE; whether outputs saturate as
    a ReLU does (1) or not (0)."""

    form: ShortForm
    multiplier: Array
    shift: Array
    relu: int

    @property
    def flags(self) -> int:
        """MCUGEN_INT16_RELU + MCUGEN_INT16_SHIFTED."""
        return self.relu + 2 * (self.form is ShortForm.SHIFTED)


def short_rescaling(node: Node, graph: Graph) -> ShortRescaling | None:
    """The shortest form that is exact for every channel of a node with int16 outputs; None where there is none:
    accumulators beyond int32, two roundings, scales above 1/4, other bounds of the output than SATURATIONS."""
    bounds, relu = channel_bounds(node, graph), SATURATIONS.get(output_range(node, graph))
    if relu is None or not rounds_once(node, graph) or bounds.max(initial=0) > INT32_MAX:
        return None
    multiplier, shift = (np.broadcast_to(a, bounds.shape) for a in requantization(node, graph))
    m, s = reduced_multiplier(multiplier), 15 - shift
    # |acc * m| < 2^(s - 1) rounds to 0
    vanishes = bounds * m < 1 << (s - 1)
    m, s = np.where(vanishes, 0, m), np.where(vanishes, MOST, s)
    form = ShortForm.SHIFTED if (s > MOST).any() else ShortForm.ONE
    e = np.maximum(s - MOST, 1) if form is ShortForm.SHIFTED else np.zeros_like(s)
    scaled = m << (MOST + e - s)
    return ShortRescaling(form, scaled, e, relu) if scaled.max(initial=0) <= INT32_MAX else None
