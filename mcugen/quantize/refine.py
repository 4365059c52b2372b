"""Refinements of post-training quantization, each kept only where it helps on samples that it has not seen.

Every fifth sample is held back. A refinement learns from the others; then the integer network with it and the one
without it run on those held back, and the higher signal to quantization noise against the float network wins: a finer
measure than the share of equal answers, which of some dozen samples moves in steps of percents. It is taken of the
outputs, but before a softmax, sigmoid or search for the largest at their end: where those saturate a few samples
outweigh all others (kws: SQNR of 20 samples' probabilities scatters by 5 dB, before the softmax by 0.5 dB).
Ranges come from all samples either way, so that what is measured is what is built.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mcugen.calibrate.ranges import Observed
from mcugen.errors import Fault, ModelError, UsageError
from mcugen.execute import run_samples
from mcugen.ir import Array, Graph, Node
from mcugen.ops.functions import X
from mcugen.ops.op import quantize_array
from mcugen.quantize.bias_correct import LAYERS, Shifts, find_shifts, shift_biases
from mcugen.quantize.equalize import Scales, choose_scales, equalize, pairs, peaks
from mcugen.quantize.ptq import Ranges, quantize
from mcugen.rewrite import INDEX_OPS
from mcugen.score import Noise

NAMES = ("cross-layer equalization", "bias correction")
HELD_BACK = 5  # every fifth sample
FEWEST = 10  # samples, of which two are held back
MOST = 200  # samples, evenly spread over all: more cost time and change nothing
MOST_BYTES = 2**28  # of the widest activation over all of them as int8

Samples = Mapping[str, Array]


@dataclass(frozen=True)
class Trial:
    """One refinement: SQNR in dB without and with it, None if it was not tried, and why it went so."""

    name: str
    before: float | None = None
    after: float | None = None
    kept: bool = False
    measure: str | None = None
    why: str = ""

    def record(self) -> dict[str, Any]:
        """As the manifest has it; an infinite ratio, of no noise or no signal, is null in JSON."""
        before, after = (x if x is not None and math.isfinite(x) else None for x in (self.before, self.after))
        tried = self.measure is not None
        return {
            "name": self.name,
            "tried": tried,
            "before": before,
            "after": after,
            "kept": self.kept,
            "measure": self.measure,
            "why": self.why,
        }


@dataclass(frozen=True, eq=False)
class Refined:
    """A float graph to quantize in the original's place, and what it takes to make it again."""

    graph: Graph
    observed: Observed
    trials: tuple[Trial, ...]
    scales: Scales = field(default_factory=dict)
    shifts: Shifts = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """What a build from stored ranges needs to apply again, by activation."""
        kept = {"equalized": self.scales, "bias_shifts": self.shifts}
        return {
            kind: {name: [float(v) for v in values] for name, values in sorted(arrays.items())}
            for kind, arrays in kept.items()
        }


def not_tried(graph: Graph, observed: Observed, why: str) -> Refined:
    """The graph as it is."""
    return Refined(graph, observed, tuple(Trial(name, why=why) for name in NAMES))


def _split(graph: Graph, samples: Samples) -> tuple[dict[str, Array], dict[str, Array]]:
    """Samples to learn from and samples held back; of very many an evenly spread part."""
    count = len(next(iter(samples.values())))
    widest = max(t.type.elements for t in graph.tensors.values() if t.data is None)
    most = min(count, MOST, max(FEWEST, MOST_BYTES // widest))
    chosen = np.arange(most) * count // most
    held = np.arange(most) % HELD_BACK == HELD_BACK - 1
    return {n: a[chosen[~held]] for n, a in samples.items()}, {n: a[chosen[held]] for n, a in samples.items()}


def _measured(graph: Graph) -> list[str]:
    """What the outputs are made of, before functions that saturate."""
    producers = graph.producers()
    found = []
    for name in graph.outputs:
        while name in producers and _saturates(producers[name]):
            name = producers[name].inputs[0]
        found.append(name)
    return list(dict.fromkeys(found))


def _saturates(node: Node) -> bool:
    function = node.attrs.get("function") if node.op == "unary" else None
    return node.op in ("softmax", "log_softmax", "reshape", *INDEX_OPS) or function == ("sigmoid", X)


def _values(graph: Graph, names: Sequence[str], samples: Samples) -> dict[str, Array]:
    """Tensors [N, *shape] over all samples."""
    chunks = [{n: c[n] for n in names} for c in run_samples(graph, samples, exact=False)]
    return {n: np.concatenate([c[n] for c in chunks]) for n in names}


def _sqnr(graph: Graph, ranges: Ranges, held: Samples, exact: Mapping[str, Array]) -> float:
    """Signal to quantization noise in dB of the tensors in `exact`, each with the same weight."""
    integer = quantize(graph, ranges)
    feeds = {}
    for name, values in held.items():
        quant = integer.type(name).quant
        feeds[name] = values if quant is None else quantize_array(values, quant)
    parts = []
    for name, q in _values(integer, list(exact), feeds).items():
        ttype = integer.type(name)
        noise = Noise()
        noise.add(exact[name], (q.astype(np.float64) - ttype.zero_point) * ttype.scale)
        parts.append(10.0 ** (-noise.ratio / 10.0))
    mean = sum(parts) / len(parts)
    return -10.0 * math.log10(mean) if mean > 0.0 else math.inf


def refine(
    graph: Graph,
    samples: Samples,
    observed: Observed,
    by_hand: Ranges,
    observe: Callable[[Graph], Observed],
) -> Refined:
    """The graph with the refinements that help, each tried on top of those kept before it.

    `by_hand`: ranges that override the observed ones; their activations are not scaled. `observe`: ranges of a
    changed graph over all samples, by the user's method.
    """
    count = len(next(iter(samples.values())))
    if graph.states:
        return not_tried(graph, observed, "samples depend on those before them: the network has states")
    if count < FEWEST:
        return not_tried(
            graph, observed, f"{count} samples are too few to hold some back: {FEWEST} are needed"
        )
    learn, held = _split(graph, samples)
    with np.errstate(all="ignore"):
        exact = _values(graph, _measured(graph), held)
        size = len(next(iter(held.values())))
        measure = f"SQNR in dB of {', '.join(exact)}, {size} samples held back"
        before = _sqnr(graph, {**observed.ranges, **by_hand}, held, exact)
        result, trials = Refined(graph, observed, ()), []
        for name, attempt in zip(NAMES, (_equalized, _corrected), strict=True):
            try:
                candidate = attempt(result, learn, by_hand, observe)
                if isinstance(candidate, str):
                    trials.append(Trial(name, why=candidate))
                    continue
                after = _sqnr(candidate.graph, {**candidate.observed.ranges, **by_hand}, held, exact)
            except ModelError:  # the network as it is can be quantized
                trials.append(Trial(name, why="its numbers would leave the range of float32"))
                continue
            kept = after > before
            why = "" if kept else "no better on the samples held back"
            trials.append(Trial(name, before, after, kept, measure, why))
            result, before = (candidate, after) if kept else (result, before)
    return replace(result, trials=tuple(trials))


def _equalized(
    state: Refined, learn: Samples, by_hand: Ranges, observe: Callable[[Graph], Observed]
) -> Refined | str:
    """With equalized channels; or why that cannot be tried."""
    found = choose_scales(state.graph, peaks(state.graph, run_samples(state.graph, learn, exact=False)))
    scales = {name: s for name, s in found.items() if name not in by_hand}
    if not scales:
        return "no channels to equalize: no layers with only ReLU between, or equal ranges"
    changed = equalize(state.graph, scales)
    if not all(t.data is None or np.isfinite(t.data).all() for t in changed.tensors.values()):
        raise ModelError("weights overflow")
    return replace(state, graph=changed, observed=observe(changed), scales=scales)


def _corrected(
    state: Refined, learn: Samples, by_hand: Ranges, observe: Callable[[Graph], Observed]
) -> Refined | str:
    """With corrected biases; or why that cannot be tried."""
    del observe  # biases of the integer network change no range of the float one
    shifts = find_shifts(state.graph, {**state.observed.ranges, **by_hand}, learn)
    if not any(shift.any() for shift in shifts.values()):
        return "no layer with a bias is shifted by quantization"
    return replace(state, graph=shift_biases(state.graph, shifts), shifts=shifts)


def _arrays(document: Mapping[str, Any], kind: str, graph: Graph) -> dict[str, Array]:
    """Numbers per channel of activations, from the manifest's record. Raises ValueError with a sentence."""
    found: dict[str, Array] = {}
    stored = document.get(kind, {})
    if not isinstance(stored, dict):
        raise ValueError(f"{kind} is no table of activations")
    for name, numbers in stored.items():
        if name not in graph.tensors or graph.is_constant(name):
            raise ValueError(f'{kind} names "{name}", which this model does not have')
        try:
            values = np.array(numbers, np.float64)
        except (TypeError, ValueError):
            values = np.zeros(0)
        if values.shape != graph.type(name).shape[-1:] or not np.isfinite(values).all():
            raise ValueError(f'{kind} of "{name}" is not one number for each of its channels')
        if kind == "equalized" and not (values > 0.0).all():
            raise ValueError(f'{kind} of "{name}" holds a number that is not above 0')
        found[name] = values
    return found


def refine_again(graph: Graph, file: str, document: Mapping[str, Any]) -> Graph:
    """The graph with what an earlier build has kept, as its manifest in `file` tells. Raises UsageError."""
    stored = document.get("refined") or {}
    try:
        if not isinstance(stored, dict):
            raise ValueError("refined is no table")
        scales, shifts = (_arrays(stored, kind, graph) for kind in ("equalized", "bias_shifts"))
        pairs_of = {node.outputs[0] for node, _ in pairs(graph)}
        layers = {node.outputs[0] for node in graph.nodes if node.op in LAYERS}
        lost = [*(scales.keys() - pairs_of), *(shifts.keys() - layers)]
        if lost:
            raise ValueError(f'"{min(lost)}" is not where this model can be refined')
    except ValueError as error:
        fault = Fault(file, str(error), "calibrate this model again")
        raise UsageError(f"{file}: its refinements are not this model's", [fault]) from None
    return shift_biases(equalize(graph, scales), shifts)
