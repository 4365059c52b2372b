"""Ranges of all activations, observed on calibration data or stored by an earlier build."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mcugen.calibrate.histogram import Bounds, histograms, mse_range, percentile_range
from mcugen.errors import Fault, ModelError, UsageError
from mcugen.execute import run_samples
from mcugen.ir import Array, Graph
from mcugen.progress import Progress, Samples, silent

Chunks = Iterable[dict[str, Array]]


def _minmax(chunks: Chunks) -> dict[str, Bounds]:
    seen: dict[str, Bounds] = {}
    for chunk in chunks:
        for name, values in chunk.items():
            lo, hi = float(values.min()), float(values.max())
            old = seen.get(name, (lo, hi))
            seen[name] = (min(lo, old[0]), max(hi, old[1]))
    return seen


def _check_finite(graph: Graph, ranges: Mapping[str, Bounds]) -> None:
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


@dataclass(frozen=True)
class Method:
    """How ranges come from the values seen: `minmax`, `percentile` (of all values), `mse` (least squared error)."""

    name: str = "minmax"
    percentile: float | None = None

    @property
    def whole(self) -> bool:
        """Whether nothing is clipped."""
        return self.name == "minmax" or self.percentile == 100.0


@dataclass(frozen=True, eq=False)
class Observed:
    """What every activation did over the samples. `limits`: its smallest and largest value; `ranges`: what the method
    made of them; `counts`: histograms between the limits, if there was reason to count."""

    limits: dict[str, Bounds]
    ranges: dict[str, Bounds]
    counts: dict[str, Array]


def observe(
    graph: Graph,
    samples: Mapping[str, Array],
    method: Method,
    progress: Progress = silent,
    count: bool = False,
    methods: Mapping[str, Method] | None = None,
) -> Observed:
    """Ranges of every activation over samples {input: float32 [N, *shape without batch]}; `count`: histograms even
    where the method needs none; `methods`: of activations that have another. Raises ModelError if the model computes
    NaN or infinity on these samples."""
    total = len(next(iter(samples.values())))

    def chunks(title: str) -> Chunks:
        return progress(Samples(run_samples(graph, samples, exact=False), total), title)

    with np.errstate(all="ignore"):
        limits = _minmax(chunks("calibrating"))
        _check_finite(graph, limits)
        clipped = {name: own for name in limits if not (own := (methods or {}).get(name, method)).whole}
        if not clipped and not count:
            return Observed(limits, limits, {})
        counts = histograms(chunks("counting values"), limits)
        ranges = dict(limits)
        for name, own in clipped.items():
            if own.percentile is None:
                ranges[name] = mse_range(counts[name], limits[name])
            else:
                ranges[name] = percentile_range(counts[name], limits[name], own.percentile)
    return Observed(limits, ranges, counts)


def calibrate(
    graph: Graph,
    samples: Mapping[str, Array],
    percentile: float | None = None,
    progress: Progress = silent,
) -> dict[str, Bounds]:
    """(min, max) of every activation, or its percentiles; as `observe`."""
    method = Method() if percentile is None else Method("percentile", percentile)
    return observe(graph, samples, method, progress).ranges


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return (error.strerror or "cannot be read").lower()
    return f"it is not JSON: {error}" if isinstance(error, ValueError) else "there are no ranges in it"


def read_document(path: Path) -> dict[str, Any]:
    """The manifest of an earlier build, or any JSON with `ranges` {tensor: [min, max]}. Raises UsageError."""
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        dict(document["ranges"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(
            f"{path.name}: holds no ranges",
            [Fault(path.name, _reason(error), "give the .json manifest of an earlier build")],
        ) from None
    return document


def read_ranges(path: Path, graph: Graph) -> dict[str, Bounds]:
    """The ranges of such a file. Raises UsageError naming every activation of the graph without a usable range."""
    items = dict(read_document(path)["ranges"])
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
