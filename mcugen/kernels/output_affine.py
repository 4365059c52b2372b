"""The shortest requantization for cores with the DSP extension: one multiplication and one saturation.

Both gemmlowp's double rounding and `ssat8(smmul(256 * acc + offset, multiplier) >> 11)` are monotonic in the
accumulator, so they are equal if they step to every output value at the same accumulator. The steps of the reference
are found by bisection over the accumulator's proved range; from them follow, for a multiplier, the least and the
largest offset. Multipliers near the exact one are tried. Where outputs lie on both sides of their zero point there is
none: halves are rounded away from zero, which no straight line does. After a fused ReLU the negative side is a clamp.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mcugen.fixed import INT32_MAX, saturating_mbqm
from mcugen.ir import Array, DType, Graph, Node
from mcugen.kernels.output_dsp import accumulator_range
from mcugen.ops.conv2d import output_range, requantization
from mcugen.ops.op import limits

SCALE = 256  # of the accumulator: weights are read as the upper bytes of halves
SHIFT = 11
OUTPUTS = np.arange(-127, 128)  # to which an accumulator may step
_TRIED = 2048  # multipliers on either side of the exact one
_BATCHES = (16, 112, 512, 1536)  # of them at once, the nearest first; then the rest
_SIDE = 8  # steps on either side of the zero point that are enough to know that there is none


@dataclass(frozen=True, eq=False)
class Affine:
    """multiplier, offset: int32 [C] with y = ssat8(smmul(SCALE * acc + offset, multiplier) >> SHIFT)."""

    multiplier: Array
    offset: Array


def affine(node: Node, graph: Graph) -> Affine | None:
    """Of every output channel, to int8; None where some channel has no exact one."""
    if output_range(node, graph) != limits(DType.INT8):
        return None
    low, high = accumulator_range(node, graph)
    multiplier, shift = (np.broadcast_to(a, low.shape) for a in requantization(node, graph))
    zero_point = graph.type(node.outputs[0]).zero_point
    return _affine(*(a.astype(np.int64).tobytes() for a in (low, high, multiplier, shift)), zero_point)


@lru_cache(maxsize=1024)
def _affine(low: bytes, high: bytes, multiplier: bytes, shift: bytes, zero_point: int) -> Affine | None:
    lows, highs, multipliers, shifts = (np.frombuffer(a, np.int64) for a in (low, high, multiplier, shift))
    reach = SCALE * int(max(np.abs(lows).max(initial=0), np.abs(highs).max(initial=0)))
    if reach > INT32_MAX or (shifts > SHIFT - 15).any():  # the multiplier would be beyond int32
        return None
    at = _steps(lows, highs, multipliers, shifts, zero_point)
    steps, positive = (at > lows[:, np.newaxis]) & (at <= highs[:, np.newaxis]), zero_point < OUTPUTS
    if ((steps[:, positive].sum(axis=1) >= _SIDE) & (steps[:, ~positive].sum(axis=1) >= _SIDE)).any():
        return None
    exact = multipliers >> (SHIFT - 15 - shifts)
    found = []
    for c in range(len(at)):
        pair = _channel(int(lows[c]), int(highs[c]), at[c], int(exact[c]), INT32_MAX - reach)
        if pair is None:
            return None
        found.append(pair)
    pairs = np.array(found, np.int32).reshape(-1, 2)
    return Affine(pairs[:, 0], pairs[:, 1])


def _steps(low: Array, high: Array, multiplier: Array, shift: Array, zero_point: int) -> Array:
    """[C, 255]: the least accumulator whose output is at least -127, -126, ..., 127; high + 1 where none is."""
    wanted = OUTPUTS[np.newaxis] - zero_point
    begin, top = np.repeat(low[:, np.newaxis], 255, 1), high[:, np.newaxis]
    end = np.repeat(top + 1, 255, 1)
    while (begin < end).any():
        middle = (begin + end) >> 1
        output = saturating_mbqm(np.minimum(middle, top), multiplier[:, np.newaxis], shift[:, np.newaxis])
        reached = (output >= wanted) | (middle > top)
        begin, end = np.where(reached, begin, middle + 1), np.where(reached, middle, end)
    return np.asarray(begin)


def _channel(low: int, high: int, steps: Array, exact: int, limit: int) -> tuple[int, int] | None:
    """(multiplier, offset) of one channel, |offset| <= limit. smmul(...) >> SHIFT reaches q where the product reaches
    q * 2^(32 + SHIFT): it must at each step, and not one accumulator below."""
    reached, later = steps <= high, steps > low
    near = exact + np.array(sorted(range(-_TRIED, _TRIED + 1), key=abs))
    tried = near if (reached & later).any() else 1 << np.arange(30, 15, -1)  # constant: any multiplier
    tried = tried[(tried > 0) & (tried <= INT32_MAX)]
    for batch in np.split(tried, np.cumsum(_BATCHES)):
        offsets = -((-OUTPUTS << (32 + SHIFT)) // batch[:, np.newaxis]) - SCALE * steps
        least = np.maximum(offsets[:, reached].max(axis=1, initial=-limit), -limit)
        below = np.minimum((offsets[:, later] + SCALE).min(axis=1, initial=limit + 1), limit + 1)
        exists = np.flatnonzero(least < below)
        if len(exists):
            k = exists[0]
            return int(batch[k]), (int(least[k]) + int(below[k]) - 1) >> 1
    return None
