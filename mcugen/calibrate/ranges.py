"""Ranges of all activations from calibration data: min-max, or a percentile of all values seen."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mcugen.errors import Fault, ModelError, UsageError
from mcugen.execute import run_samples
from mcugen.ir import Array, Graph
from mcugen.progress import Progress, Samples, silent

BINS = 8192  # of the percentile histogram
Chunks = Iterable[dict[str, Array]]


def _minmax(chunks: Chunks) -> dict[str, tuple[float, float]]:
    seen: dict[str, tuple[float, float]] = {}
    for chunk in chunks:
        for name, values in chunk.items():
            lo, hi = float(values.min()), float(values.max())
            old = seen.get(name, (lo, hi))
            seen[name] = (min(lo, old[0]), max(hi, old[1]))
    return seen


def _percentile(
    chunks: Chunks, limits: Mapping[str, tuple[float, float]], percentile: float
) -> dict[str, tuple[float, float]]:
    """The range that leaves (100 - percentile) % of all values outside, half on each side, to 1/BINS of min-max."""
    counts = {name: np.zeros(BINS, np.int64) for name in limits}
    for chunk in chunks:
        for name, values in chunk.items():
            lo, hi = limits[name]
            if hi > lo:
                counts[name] += np.histogram(values, BINS, (lo, hi))[0]
    result = {}
    for name, (lo, hi) in limits.items():
        total = int(counts[name].sum())
        if total == 0:
            result[name] = (lo, hi)
            continue
        below = np.cumsum(counts[name])
        cut = total * (100.0 - percentile) / 200.0
        first = int(np.searchsorted(below, cut, side="right"))
        last = int(np.searchsorted(below, total - cut, side="left"))
        edges = np.linspace(lo, hi, BINS + 1)
        result[name] = (float(edges[min(first, BINS - 1)]), float(edges[min(last, BINS - 1) + 1]))
    return result


def _check_finite(graph: Graph, ranges: Mapping[str, tuple[float, float]]) -> None:
    """Raises ModelError naming the nodes where NaN or infinity begins."""
    broken = {n for n, bounds in ranges.items() if not np.isfinite(bounds).all()}
    first = [
        node
        for node in graph.nodes
        if broken.intersection(node.outputs) and not broken.intersection(node.inputs)
    ]
    if broken:
        fix = "check the weights, and that the data are scaled as in training"
        faults = [Fault(n.origin or n.name, f'its output "{n.outputs[0]}" is not finite', fix) for n in first]
        raise ModelError("the model computes NaN or infinity on the calibration data", faults)


def calibrate(
    graph: Graph,
    samples: Mapping[str, Array],
    percentile: float | None = None,
    progress: Progress = silent,
) -> dict[str, tuple[float, float]]:
    """(min, max) of every activation over samples {input: float32 [N, *shape without batch]}.

    Raises ModelError if the model computes NaN or infinity on these samples.
    """

    def chunks(title: str) -> Chunks:
        count = len(next(iter(samples.values())))
        return progress(Samples(run_samples(graph, samples, exact=False), count), title)

    with np.errstate(all="ignore"):
        ranges = _minmax(chunks("calibrating"))
        _check_finite(graph, ranges)
        if percentile is not None and percentile < 100.0:
            ranges = _percentile(chunks("percentiles"), ranges, percentile)
    return ranges


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return (error.strerror or "cannot be read").lower()
    return f"it is not JSON: {error}" if isinstance(error, ValueError) else "there are no ranges in it"


def read_ranges(path: Path, graph: Graph) -> dict[str, tuple[float, float]]:
    """Stored ranges from a JSON file: a manifest of an earlier build, or {"ranges": {tensor: [min, max]}}.

    Raises UsageError naming every activation of the graph without a usable range.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))["ranges"]
        items = dict(stored)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(
            f"{path.name}: holds no ranges",
            [Fault(path.name, _reason(error), "give the .json manifest of an earlier build")],
        ) from None
    faults, ranges = [], {}
    for name, tensor in graph.tensors.items():
        if tensor.data is not None:
            continue
        bounds: Any = items.get(name)
        numbers = (
            isinstance(bounds, list) and len(bounds) == 2 and all(isinstance(b, int | float) for b in bounds)
        )
        if not numbers or not np.isfinite(bounds).all() or bounds[0] > bounds[1]:
            why = "has no range [min, max]" if bounds is None else f"has the range {bounds!r}"
            faults.append(Fault(f'tensor "{name}"', why, "calibrate this model again"))
        else:
            ranges[name] = (float(bounds[0]), float(bounds[1]))
    if faults:
        raise UsageError(f"{path.name}: {len(faults)} ranges are missing or wrong", faults)
    return ranges
