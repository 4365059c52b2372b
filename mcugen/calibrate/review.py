"""What calibration found, for the manifest and for people: ranges, clipped shares, data that look like a mistake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mcugen.calibrate.data import DataSet
from mcugen.calibrate.histogram import Bounds, clipped_share
from mcugen.calibrate.ranges import Observed
from mcugen.ir import DType, Graph
from mcugen.ops.op import limits as integers
from mcugen.quantize.ptq import planned_quants

FEW = 10  # samples
MUCH = 0.01  # share of clipped values
LITTLE = 0.1  # share of a range by hand that the samples reach
SHOWN = 3  # names in a note


def review(
    graph: Graph,
    ranges: Mapping[str, Bounds],
    observed: Observed | None,
    by_hand: frozenset[str],
    dtype: DType = DType.INT8,
) -> dict[str, dict[str, Any]]:
    """By activation: `observed` [min, max] over the samples, `used` [least, most] that its integers can hold,
    `clipped` share of the samples' values outside, `origin`: calibrated, by hand, fixed (by an operator) or stored.
    null where there were no samples, or nothing was counted. `ranges`: of all of them, as they are quantized."""
    quants, fixed = planned_quants(graph, ranges, dtype)
    low, high = integers(dtype)
    found: dict[str, dict[str, Any]] = {}
    for name in sorted(ranges):
        scale, zero = quants[name].scale[0], quants[name].zero_point[0]
        used = ((low - zero) * scale, (high - zero) * scale)
        origin = "calibrated" if observed else "stored"
        origin = "fixed" if name in fixed else "by hand" if name in by_hand else origin
        limits = observed.limits[name] if observed else None
        found[name] = {
            "tensor": graph.tensors[name].source,
            "observed": list(limits) if limits else None,
            "used": list(used),
            "clipped": _clipped(name, observed, ranges[name], used, scale),
            "origin": origin,
        }
    return found


def _clipped(
    name: str, observed: Observed | None, bounds: Bounds, used: Bounds, scale: float
) -> float | None:
    """Share of the samples' values outside of what integers hold; what lies half a step outside rounds to its end."""
    if observed is None:
        return None
    reach = used[0] - scale / 2.0, used[1] + scale / 2.0
    limits = observed.limits[name]
    if limits[0] >= reach[0] and limits[1] <= reach[1]:
        return 0.0
    counts = observed.counts.get(name)
    return None if counts is None else clipped_share(counts, limits, reach)


def data_notes(data: DataSet) -> list[str]:
    """What calibration data are likely to lack."""
    notes = []
    if data.count < FEW:
        number = "one sample" if data.count == 1 else f"{data.count} samples"
        notes.append(f"calibrated on {number}: ranges of some hundred are trustworthy")
    for name, values in data.arrays.items():
        if values.min() == values.max():
            notes.append(f'input "{name}" is {values.flat[0]:g} in every element of every sample')
        elif data.count > 1 and (values == values[:1]).all():
            notes.append(f'input "{name}" is the same in all samples')
    labels = data.labels
    if (
        labels is not None
        and data.count > 1
        and labels.size == data.count
        and (labels == labels.flat[0]).all()
    ):
        notes.append(f"all samples have the label {labels.flat[0]}: calibrate on samples of every class")
    return notes


def _names(found: list[str]) -> str:
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return ", ".join(f'"{name}"' for name in found[:SHOWN]) + more


def range_notes(tensors: Mapping[str, Mapping[str, Any]], ranges: Mapping[str, Bounds]) -> list[str]:
    """One line for each kind of trouble in the review of these ranges."""
    notes = []
    clipped = {
        n: e["clipped"]
        for n, e in tensors.items()
        if e["origin"] != "fixed" and e["clipped"] is not None and e["clipped"] > MUCH
    }
    if clipped:
        worst = max(clipped.values())
        names = sorted(clipped, key=lambda n: (-clipped[n], n))
        notes.append(f"ranges clip up to {100 * worst:.1f} % of the samples' values: {_names(names)}")
    seen = {n: e["observed"] for n, e in tensors.items() if e["observed"] is not None}
    constant = [n for n, (lo, hi) in seen.items() if lo == hi]
    if constant:
        notes.append(f"the same number in all samples, so that its range is a guess: {_names(constant)}")
    hand = {n: e for n, e in tensors.items() if e["origin"] == "by hand"}
    idle = [n for n, e in hand.items() if n in seen and _width(seen[n]) < LITTLE * _width(ranges[n])]
    if idle:
        why = f"samples reach less than {100 * LITTLE:.0f} % of the range by hand"
        notes.append(f"{why}, are they scaled as in training? {_names(idle)}")
    return notes


def _width(bounds: Sequence[float]) -> float:
    """From the least to the most, 0 included as in every quantization."""
    return max(bounds[1], 0.0) - min(bounds[0], 0.0)
