"""From what the user gave, samples or stored ranges, to the float graph and the ranges that are quantized."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcugen.calibrate.by_hand import match_ranges
from mcugen.calibrate.data import DataSet, InputSpec, load_data, random_data
from mcugen.calibrate.histogram import Bounds
from mcugen.calibrate.ranges import Method, Observed, observe, read_document, read_ranges
from mcugen.calibrate.review import data_notes, range_notes, review
from mcugen.errors import Fault, UsageError
from mcugen.ir import DType, Graph
from mcugen.progress import Progress, stage
from mcugen.quantize.ptq import spread_ranges
from mcugen.quantize.refine import not_tried, refine, refine_again

METHODS = ("minmax", "percentile", "mse")
PERCENTILE = 99.99  # where the user names none
RANDOM_SAMPLES = 32


@dataclass(frozen=True)
class Wishes:
    """What the user chose. calib: see `load_data`, `random`, or a .json of stored ranges; method: of METHODS;
    by_hand: ranges {name: (lo, hi)} that override calibration; refine: whether refinements are tried; methods: of
    activations that have another than `method`; activations: what they become."""

    calib: Any = None
    method: str | None = None
    percentile: float | None = None
    by_hand: Mapping[str, Bounds] = field(default_factory=dict)
    refine: bool = True
    seed: int = 0
    methods: Mapping[str, Method] = field(default_factory=dict)
    activations: DType = DType.INT8


@dataclass(frozen=True, eq=False)
class Calibrated:
    """The float graph to quantize, which refinements may have changed, the ranges of its activations, and what the
    manifest tells about them."""

    graph: Graph
    ranges: Mapping[str, Bounds]
    record: dict[str, Any]


def _is_stored(calib: Any) -> bool:
    return isinstance(calib, str | Path) and str(calib).endswith(".json")


def choose_method(wishes: Wishes) -> Method:
    """The method and its parameter. Raises UsageError if they contradict each other or the data."""
    name, percentile = wishes.method, wishes.percentile
    if name is not None and name not in METHODS:
        raise UsageError(
            "no such calibration", [Fault("--calibration", f"{name!r}", f"use one of {', '.join(METHODS)}")]
        )
    if name not in (None, "percentile") and percentile is not None:
        why, fix = f"{name} has no percentile", "use --calibration percentile, or leave --percentile out"
        raise UsageError("two ways to calibrate", [Fault("--percentile", why, fix)])
    if percentile is not None and not 50.0 < percentile <= 100.0:
        why = f"{percentile:g} is not above 50 and at most 100"
        raise UsageError(
            "no such percentile", [Fault("--percentile", why, "99.9 or 99.99 cut outliers; 100 is min-max")]
        )
    if _is_stored(wishes.calib) and (name is not None or percentile is not None):
        option = "--percentile" if percentile is not None else "--calibration"
        fault = Fault(option, "an earlier build's ranges hold no samples", "give samples as --calib")
        raise UsageError("calibration needs samples", [fault])
    if name == "percentile" or percentile is not None:
        return Method("percentile", PERCENTILE if percentile is None else percentile)
    return Method(name or "minmax")


def calibrate_model(
    graph: Graph, inputs: Sequence[InputSpec], wishes: Wishes, progress: Progress, notes: list[str]
) -> Calibrated:
    """Ranges of all activations, from samples or stored by an earlier build, and refinements that help.

    Notes for the user are appended. Raises UsageError for what he can mend, ModelError for NaN and infinity.
    """
    if wishes.calib is None:
        why = "--calib data.npz with some hundred real samples (or --calib random for a first try)"
        raise UsageError("a float model needs calibration data", [Fault("--calib", "not given", why)])
    method = choose_method(wishes)
    by_hand = match_ranges(wishes.by_hand, graph)
    if _is_stored(wishes.calib):
        return _stored(graph, Path(wishes.calib), by_hand, notes, wishes.activations)
    is_random = isinstance(wishes.calib, str) and wishes.calib == "random"
    if is_random:
        data: DataSet = random_data(inputs, RANDOM_SAMPLES, wishes.seed)
    else:
        data = load_data(wishes.calib, inputs, purpose="calibration")
    notes += data.notes
    samples = {name: data.arrays[graph.tensors[name].source or name] for name in graph.inputs}
    notes += [] if is_random else data_notes(data)

    def observed_in(changed: Graph) -> Observed:
        return observe(changed, samples, method, progress, bool(by_hand), wishes.methods)

    observed = observed_in(graph)
    by_hand = spread_ranges(graph, observed.ranges, by_hand, wishes.activations)
    if not wishes.refine or is_random:
        why = "calibrated with random numbers" if is_random else "not wished"
        refined = not_tried(graph, observed, why)
    else:
        with stage(progress, "refining"):
            refined = refine(graph, samples, observed, by_hand, observed_in)
    ranges = {**refined.observed.ranges, **by_hand}
    tensors = review(refined.graph, ranges, refined.observed, frozenset(by_hand), wishes.activations)
    notes += range_notes(tensors, ranges)
    record = {
        "calibration": {
            "method": method.name,
            "percentile": method.percentile,
            "samples": data.count,
            "tensors": tensors,
        },
        "refinements": [trial.record() for trial in refined.trials],
        "refined": refined.record(),
    }
    return Calibrated(refined.graph, ranges, record)


def _stored(
    graph: Graph, path: Path, by_hand: Mapping[str, Bounds], notes: list[str], dtype: DType
) -> Calibrated:
    """Ranges, and what refined the network, as an earlier build stored them."""
    document = read_document(path)
    ranges: dict[str, Bounds] = read_ranges(path, graph)
    by_hand = spread_ranges(graph, ranges, by_hand, dtype)
    ranges |= by_hand
    changed = refine_again(graph, path.name, document)
    tensors = review(changed, ranges, None, frozenset(by_hand), dtype)
    notes += range_notes(tensors, ranges)
    refined = not_tried(
        graph, Observed({}, {}, {}), "ranges of an earlier build: what it kept is applied again"
    )
    calibration = {"method": "stored", "percentile": None, "samples": None, "tensors": tensors}
    record = {
        "calibration": calibration,
        "refinements": [trial.record() for trial in refined.trials],
        "refined": document.get("refined") or refined.record(),
    }
    return Calibrated(changed, ranges, record)
