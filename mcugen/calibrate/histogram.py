"""Ranges narrower than min-max, from histograms of all values: percentiles, least squared error, clipped shares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from mcugen.ir import Array
from mcugen.ops.op import activation_quant

BINS = 8192  # of a tensor's whole range: 32 for each of the 255 steps of int8
COARSE = 4  # bins in one for the search for the least squared error
STEPS = 64  # in which it shrinks a range

Bounds = tuple[float, float]


def histograms(chunks: Iterable[Mapping[str, Array]], limits: Mapping[str, Bounds]) -> dict[str, Array]:
    """int64 [BINS] counts of every tensor's values between its limits; zeros where the limits are one number."""
    counts = {name: np.zeros(BINS, np.int64) for name in limits}
    for chunk in chunks:
        for name, values in chunk.items():
            lo, hi = limits[name]
            if hi > lo:
                # in float64: the width of a range of float32 may exceed float32
                places = ((values.ravel().astype(np.float64) - lo) * (BINS / (hi - lo))).astype(np.int64)
                counts[name] += np.bincount(np.minimum(places, BINS - 1), minlength=BINS)
    return counts


def percentile_range(counts: Array, limits: Bounds, percentile: float) -> Bounds:
    """The range that leaves (100 - percentile) % of all values outside, half on each side, to 1/BINS of min-max."""
    total = int(counts.sum())
    if total == 0:
        return limits
    below = np.cumsum(counts)
    cut = total * (100.0 - percentile) / 200.0
    first = int(np.searchsorted(below, cut, side="right"))
    last = int(np.searchsorted(below, total - cut, side="left"))
    edges = np.linspace(*limits, BINS + 1)
    return float(edges[min(first, BINS - 1)]), float(edges[min(last, BINS - 1) + 1])


def centres(limits: Bounds, bins: int = BINS) -> Array:
    """Middle of every bin, float64 [bins]."""
    edges = np.linspace(*limits, bins + 1)
    return (edges[:-1] + edges[1:]) / 2.0


def squared_error(values: Array, weights: Array, bounds: Bounds) -> float:
    """Sum of squared int8 quantization errors of weighted values under a range, relative to the largest of them."""
    quant = activation_quant(*bounds)
    scale, zero = quant.scale[0], quant.zero_point[0]
    q = np.clip(np.rint(values / scale) + zero, -128, 127)
    errors = (values - (q - zero) * scale) / np.abs(values).max()
    return float(np.dot(weights, np.square(errors)))


def mse_range(counts: Array, limits: Bounds) -> Bounds:
    """The range of least squared int8 error over the values counted, found by shrinking each end in STEPS.

    Upper and lower end take turns until neither gains; the whole range stays unless another one is better.
    """
    counts = counts.reshape(-1, COARSE).sum(axis=1)
    seen = counts > 0
    if not seen.any():
        return limits
    values, weights = centres(limits, len(counts))[seen], counts[seen].astype(np.float64)
    whole = min(limits[0], 0.0), max(limits[1], 0.0)

    def bounds(steps: tuple[int, int]) -> Bounds:
        return whole[0] * steps[0] / STEPS, whole[1] * steps[1] / STEPS

    kept = (STEPS, STEPS)  # of either end
    best = squared_error(values, weights, whole)
    before = None
    while kept != before:
        before = kept
        for side in (1, 0):
            for step in range(STEPS - 1, 0, -1) if whole[side] else ():
                steps = (kept[0], step) if side else (step, kept[1])
                error = squared_error(values, weights, bounds(steps))
                if error < best:
                    best, kept = error, steps
    return limits if kept == (STEPS, STEPS) else bounds(kept)


def clipped_share(counts: Array, limits: Bounds, used: Bounds) -> float:
    """Share of the values counted, from 0 to 1, that lie outside of a range, to 1/BINS of min-max."""
    total = int(counts.sum())
    if total == 0:
        return 0.0
    middle = centres(limits)
    return float(counts[(middle < used[0]) | (middle > used[1])].sum() / total)
