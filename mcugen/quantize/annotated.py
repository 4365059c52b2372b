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
from mcugen.ir import Graph, Node, Quant
from mcugen.normalise.annotations import AVERAGING
from mcugen.ops import OPS
from mcugen.ops.op import activation_quant
from mcugen.ops.unary import clip_bounds
from mcugen.quantize.ports import IO_ORIGIN
from mcugen.rewrite import index_tensors

FILE, NEIGHBOUR, FIXED = "file", "neighbour", "fixed"
SHOWN = 8  # names in a note


@dataclass(frozen=True)
class Spread:
    """The graph with all annotations that could be had, where each is from, and the activations without one."""

    graph: Graph
    origins: Mapping[str, str]
    missing: tuple[str, ...]

    @property
    def ranges(self) -> dict[str, Bounds]:
        """What annotated activations can hold."""
        found = {}
        for name in self.origins:
            quant = self.graph.type(name).quant
            assert quant is not None
            found[name] = _bounds(quant)
        return found


def _bounds(quant: Quant) -> Bounds:
    scale, zero = quant.scale[0], quant.zero_point[0]
    return (-128 - zero) * scale, (127 - zero) * scale


class _Walk:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.consumers = graph.consumers()
        self.quants = {
            n: t.type.quant for n, t in graph.tensors.items() if t.data is None and t.type.quant is not None
        }
        self.origins = dict.fromkeys(self.quants, FILE)

    def take(self, name: str, quant: Quant | None, origin: str) -> bool:
        if quant is None or name in self.quants:
            return False
        self.quants[name], self.origins[name] = quant, origin
        return True

    def keeps_scale(self, node: Node) -> bool:
        """Whether the output's integers may be read as the inputs'."""
        return bool(OPS[node.op].same_quant(node, self.graph)) or clip_bounds(node) is not None

    def forward(self, node: Node) -> bool:
        """An annotation for the output, from the operator or its inputs."""
        out = node.outputs[0]
        fixed = OPS[node.op].fixed_quant(node)
        if fixed is not None:
            return self.take(out, fixed, FIXED)
        active = [i for i in node.inputs if not self.graph.is_constant(i)]
        if not self.keeps_scale(node) or not active or any(i not in self.quants for i in active):
            return False
        found = list(dict.fromkeys(self.quants[i] for i in active))
        bounds = [_bounds(q) for q in found]
        for name in node.inputs:
            if self.graph.is_constant(name):
                data = self.graph.constant(name)
                bounds.append((float(data.min()), float(data.max())))
        reach = min(b[0] for b in bounds), max(b[1] for b in bounds)
        widest = next((q for q in found if _bounds(q) == reach), None)
        return self.take(out, widest or activation_quant(*reach), NEIGHBOUR)

    def backward(self, name: str) -> bool:
        """An annotation for a tensor from what its readers give."""
        users = self.consumers[name]
        if name in self.quants or name in self.graph.outputs or not users:
            return False
        for user in users:
            if user.op in AVERAGING or not self.keeps_scale(user) or user.outputs[0] not in self.quants:
                return False
        found = {self.quants[user.outputs[0]] for user in users}
        return len(found) == 1 and self.take(name, found.pop(), NEIGHBOUR)


def spread_annotations(graph: Graph) -> Spread:
    """Give annotations to all activations that can safely have one."""
    walk = _Walk(graph)
    active = [n for n, t in graph.tensors.items() if t.data is None]
    changed = True
    while changed:
        changed = any([walk.forward(node) for node in graph.nodes])
        changed |= any([walk.backward(name) for name in reversed(active)])
    tensors = {
        name: replace(t, type=replace(t.type, quant=walk.quants[name])) if name in walk.quants else t
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
        by = f"made by {maker.origin or maker.name}" if maker is not None else "an input of the model"
        faults.append(Fault(f'tensor "{name}"', f"{by}, has no annotation and no neighbour to take one from"))
    if faults:
        faults.append(
            Fault("--calib", "not given", "give samples to calibrate these, or quantize them in the file")
        )
        count = f"{len(spread.missing)} tensors" if len(spread.missing) > 1 else "1 tensor"
        raise UsageError(f"{count} of the quantized model without a range", faults)


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
    steps = [n.inputs[0] for n in graph.nodes if n.op == "requantize" and n.origin != IO_ORIGIN]
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
