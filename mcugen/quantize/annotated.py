"""Activations that a quantized ONNX file leaves without an annotation take one where that is safe.

From a neighbour through an operator that keeps the scale: its output may always hold what its input holds; its input
what its output holds only if nobody else reads the input and the operator's output is the same for values that are
cut off before it. From an operator that fixes its output's scale. Constants have their own values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mcugen.calibrate.histogram import Bounds
from mcugen.errors import Fault, UsageError
from mcugen.ir import DType, Graph, Node, Quant
from mcugen.normalise.annotations import AVERAGING, annotation_type, keeps_scale
from mcugen.normalise.layout import LAYOUT
from mcugen.ops import OPS
from mcugen.ops.functions import X
from mcugen.ops.op import activation_quant, limits
from mcugen.ops.unary import clip_bounds
from mcugen.rewrite import index_tensors

FILE, NEIGHBOUR, FIXED = "file", "neighbour", "fixed"
SHOWN = 8  # names in a note
HARD_SWISH = ("mul", X, ("hard_sigmoid", X, 1 / 6, 0.5))


@dataclass(frozen=True)
class Spread:
    """The graph with all annotations that could be had, where each is from, and the activations without one."""

    graph: Graph
    origins: Mapping[str, str]
    missing: tuple[str, ...]

    def missing_inputs(self, node: Node) -> bool:
        """Whether the node reads an activation without an annotation."""
        return not set(self.missing).isdisjoint(node.inputs)

    @property
    def ranges(self) -> dict[str, Bounds]:
        """What annotated activations can hold."""
        found = {}
        for name in self.origins:
            quant = self.graph.type(name).quant
            assert quant is not None
            found[name] = _bounds(quant, annotation_type(self.graph))
        return found


def _bounds(quant: Quant, dtype: DType) -> Bounds:
    scale, zero = quant.scale[0], quant.zero_point[0]
    low, high = limits(dtype)
    return (low - zero) * scale, (high - zero) * scale


def _on_grid(clip: Bounds, quant: Quant, dtype: DType) -> bool:
    """Whether the bounds of a clip, where they cut anything off, are values of a quantization."""
    low, high = _bounds(quant, dtype)
    steps = [bound / quant.scale[0] for bound in clip if low < bound < high]
    return all(abs(step - round(step)) < 1e-3 for step in steps)


class _Walk:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.consumers = graph.consumers()
        self.dtype = annotation_type(graph)
        self.quants = {
            n: t.type.quant for n, t in graph.tensors.items() if t.data is None and t.type.quant is not None
        }
        self.origins = dict.fromkeys(self.quants, FILE)
        self.bounds = {
            n: _bounds(q, self.dtype) for n, q in self.quants.items()
        }  # of values, perhaps of tensors without a quant

    def take(self, name: str, quant: Quant | None, origin: str) -> bool:
        if quant is None or name in self.quants:
            return False
        self.quants[name], self.origins[name] = quant, origin
        self.bounds.setdefault(name, _bounds(quant, self.dtype))
        return True

    def forward(self, node: Node, clips: bool) -> bool:
        """An annotation for the output, from the operator or its inputs. A clip can write any scale: its reader's is
        better than its input's, on which its bounds need not lie, so that it comes last (`clips`)."""
        out = node.outputs[0]
        fixed = OPS[node.op].fixed_quant(node, self.dtype)
        if fixed is not None:
            return self.take(out, fixed, FIXED)
        active = [i for i in node.inputs if not self.graph.is_constant(i)]
        if not keeps_scale(node, self.graph) or not active or any(i not in self.bounds for i in active):
            return False
        bounds = [self.bounds[i] for i in active]
        for name in node.inputs:
            if self.graph.is_constant(name):
                data = self.graph.constant(name)
                bounds.append((float(data.min()), float(data.max())))
        reach = min(b[0] for b in bounds), max(b[1] for b in bounds)
        clip = clip_bounds(node)
        if clip is not None:
            reach = min(max(reach[0], clip[0]), clip[1]), min(max(reach[1], clip[0]), clip[1])
        known = self.bounds.setdefault(out, reach)
        if clip is not None and not clips:
            return known is reach
        found = list(dict.fromkeys(self.quants[i] for i in active if i in self.quants))
        if not found or (clip is not None and not _on_grid(clip, found[0], self.dtype)):
            return self.take(out, activation_quant(*reach, self.dtype), NEIGHBOUR)
        held = {q: _bounds(q, self.dtype) for q in found}
        holds = [q for q, (low, high) in held.items() if low <= min(reach[0], 0.0) and reach[1] <= high]
        finest = min(holds, key=lambda q: q.scale[0], default=None)
        origin = self.origins[active[0]] if node.origin == LAYOUT and found else NEIGHBOUR
        return self.take(out, finest or activation_quant(*reach, self.dtype), origin)

    def backward(self, name: str) -> bool:
        """An annotation for a tensor from what its readers give."""
        users = self.consumers[name]
        if name in self.quants or name in self.graph.outputs or not users:
            return False
        for user in users:
            if (
                user.op in AVERAGING
                or not keeps_scale(user, self.graph)
                or user.outputs[0] not in self.quants
            ):
                return False
        found = {self.quants[user.outputs[0]] for user in users}
        origin = self.origins[users[0].outputs[0]] if users[0].origin == LAYOUT else NEIGHBOUR
        return len(found) == 1 and self.take(name, found.pop(), origin)


def spread_annotations(graph: Graph) -> Spread:
    """Give annotations to all activations that can safely have one."""
    walk = _Walk(graph)
    active = [n for n, t in graph.tensors.items() if t.data is None]
    for clips in (False, True):
        changed = True
        while changed:
            changed = any([walk.forward(node, clips) for node in graph.nodes])
            changed |= any([walk.backward(name) for name in reversed(active)])
    tensors = {
        name: replace(t, type=replace(t.type, quant=walk.quants[name], integers=walk.dtype))
        if name in walk.quants
        else t
        for name, t in graph.tensors.items()
    }
    indices = index_tensors(graph)
    missing = tuple(n for n in active if n not in walk.quants and n not in indices)
    return Spread(replace(graph, tensors=tensors), walk.origins, missing)


def check_complete(spread: Spread) -> None:
    """Raises UsageError naming every activation that has no annotation and cannot take one."""
    makers = spread.graph.producers()
    faults = []
    for name in spread.missing:
        maker = makers.get(name)
        if maker is not None and keeps_scale(maker, spread.graph) and spread.missing_inputs(maker):
            continue  # it takes that of its input
        by = f"made by {maker.origin or maker.name}" if maker is not None else "an input of the model"
        faults.append(Fault(f'tensor "{name}"', f"{by}, has no annotation and no neighbour to take one from"))
    if faults:
        faults.append(
            Fault("--calib", "not given", "give samples to calibrate these, or quantize them in the file")
        )
        count = f"{len(faults) - 1} tensors" if len(faults) > 2 else "1 tensor"
        raise UsageError(f"{count} of the quantized model without a range", faults)


def exact_steps(graph: Graph) -> Graph:
    """The integer graph whose rescalings between 8-bit tensors round once, as what the file says does: TFLM's QUANTIZE
    rounds twice, which moves one value in ten to the next integer where the scale grows four times. Likewise
    TFLM's HARD_SWISH approximates: one step off at one input of 256 ruins channels of a small range."""

    def exact(node: Node) -> Node:
        if node.op == "unary" and node.attrs["function"] == ("hard_swish", X):
            return node.with_attrs(function=HARD_SWISH)
        types = [graph.type(node.inputs[0]).dtype, graph.type(node.outputs[0]).dtype]
        if node.op != "requantize" or types != [DType.INT8, DType.INT8]:
            return node
        return replace(node, op="unary", attrs={"function": X})

    return replace(graph, nodes=tuple(exact(node) for node in graph.nodes))


def origin_notes(spread: Spread, graph: Graph) -> list[str]:
    """Which ranges came from where, and where the integer graph rescales."""
    counts = Counter(spread.origins.values())
    words = [
        f"{counts[FILE]} from the file",
        f"{counts[NEIGHBOUR]} from neighbours",
        f"{counts[FIXED]} fixed by their operator",
        f"{len(spread.missing)} calibrated{_names(spread.missing)}",
    ]
    notes = [f"quantized model: ranges {', '.join(w for w in words if not w.startswith('0 '))}"]
    steps = [n.inputs[0] for n in graph.nodes if n.op == "requantize" or n.attrs.get("function") == X]
    if steps:
        count = "1 rescaling" if len(steps) == 1 else f"{len(steps)} rescalings"
        notes.append(f"{count} where annotations differ{_names(steps)}")
    return notes


def _names(names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f" ({', '.join(names[:SHOWN])}{more})"


def annotation_record(spread: Spread, calibration: Mapping[str, Any] | None) -> dict[str, Any]:
    """The manifest's account of ranges, as of a calibration; `origin` of annotated ones: file, neighbour or fixed."""
    tensors = dict(calibration["tensors"]) if calibration else {}
    for name, bounds in spread.ranges.items():
        old = tensors.get(name) or {
            "tensor": spread.graph.tensors[name].source,
            "observed": None,
            "clipped": None,
        }
        tensors[name] = {**old, "used": list(bounds), "origin": spread.origins[name]}
    base = calibration or {"method": "annotated", "percentile": None, "samples": None}
    return {**base, "tensors": dict(sorted(tensors.items()))}
