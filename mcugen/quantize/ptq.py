"""Full-integer post-training quantization: activations int8 per tensor, weights int8 per channel, int32 bias.

The rules are the operators' own: which tensors share a quantization, which outputs have a fixed one, how constants
become integers (mcugen.ops). Where two rules meet that cannot both hold, a requantize node is put between.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mcugen.errors import Fault, InternalError
from mcugen.ir import DType, Graph, Node, Quant, Tensor, TensorType
from mcugen.ops import OPS
from mcugen.ops.op import activation_quant
from mcugen.rewrite import live

Ranges = Mapping[str, tuple[float, float]]


class _Groups:
    """Disjoint sets of activations that share one quantization; a set may be pinned to a fixed one."""

    def __init__(self) -> None:
        self.parent: dict[str, str] = {}
        self.pinned: dict[str, Quant] = {}

    def find(self, name: str) -> str:
        while self.parent.setdefault(name, name) != name:
            name = self.parent[name]
        return name

    def join(self, a: str, b: str) -> bool:
        """Unite two sets, unless they are pinned to different quantizations."""
        a, b = self.find(a), self.find(b)
        if a == b:
            return True
        if a in self.pinned and b in self.pinned and self.pinned[a] != self.pinned[b]:
            return False
        if b in self.pinned:
            a, b = b, a
        self.parent[b] = a
        return True


def _group(graph: Graph) -> tuple[_Groups, list[tuple[Node, str]]]:
    """Sets of activations with one quantization, and the (node, input) pairs that need a requantize."""
    groups = _Groups()
    for node in graph.nodes:
        fixed = OPS[node.op].fixed_quant(node)
        if fixed is not None:
            groups.pinned[groups.find(node.outputs[0])] = fixed
    conflicts = []
    for node in graph.nodes:
        output = node.outputs[0]
        for name in dict.fromkeys(OPS[node.op].same_quant(node, graph)):
            if name != output and not groups.join(output, name):
                conflicts.append((node, name))
    return groups, conflicts


def activation_quants(graph: Graph, ranges: Ranges, groups: _Groups) -> dict[str, Quant]:
    """Quantization of every activation: the union of its group's ranges, or what the group is pinned to."""
    activations = [n for n, t in graph.tensors.items() if t.data is None]
    missing = [Fault(n, "has no range") for n in activations if n not in ranges]
    if missing:
        raise InternalError("calibration left tensors without a range", missing)
    union: dict[str, tuple[float, float]] = {}
    for name in activations:
        root = groups.find(name)
        lo, hi = union.get(root, ranges[name])
        union[root] = (min(lo, ranges[name][0]), max(hi, ranges[name][1]))
    quants = {root: groups.pinned.get(root) or activation_quant(*bounds) for root, bounds in union.items()}
    return {name: quants[groups.find(name)] for name in activations}


def _requantized_inputs(
    graph: Graph, node: Node, conflicts: list[tuple[Node, str]], quants: dict[str, Quant]
) -> tuple[Node, list[Node], dict[str, Tensor]]:
    """A node whose conflicting inputs come through requantize nodes, those nodes and their tensors."""
    added: list[Node] = []
    tensors: dict[str, Tensor] = {}
    for other, name in conflicts:
        if other is not node:
            continue
        fresh = f"{node.outputs[0]}/requantize{len(added)}"
        quants[fresh] = quants[node.outputs[0]]
        old = graph.tensors[name]
        tensors[fresh] = Tensor(fresh, TensorType(old.shape, DType.INT8, quants[fresh]), source=old.source)
        added.append(Node(fresh, "requantize", (name,), (fresh,), {}, node.origin))
        node = replace(node, inputs=tuple(fresh if i == name else i for i in node.inputs))
    return node, added, tensors


def quantize(graph: Graph, ranges: Ranges) -> Graph:
    """The integer graph of a normalised float graph. `ranges` holds (min, max) of every activation by name."""
    groups, conflicts = _group(graph)
    quants = activation_quants(graph, ranges, groups)
    tensors: dict[str, Tensor] = {
        name: replace(t, type=TensorType(t.shape, DType.INT8, quants[name]))
        for name, t in graph.tensors.items()
        if t.data is None
    }
    nodes: list[Node] = []
    for node in graph.nodes:
        changed, added, extra = _requantized_inputs(graph, node, conflicts, quants)
        tensors.update(extra)
        widened = replace(graph, tensors={**graph.tensors, **extra})
        integer, constants = OPS[node.op].quantize(changed, widened, quants)
        for name, constant in constants.items():
            if (
                name in tensors and tensors[name].type != constant.type
            ):  # shared by layers with other input scales
                fresh = f"{name}/{node.outputs[0]}"
                constant = replace(constant, name=fresh)
                integer = replace(integer, inputs=tuple(fresh if i == name else i for i in integer.inputs))
            tensors[constant.name] = constant
        nodes += [*added, integer]
    return live(replace(graph, nodes=tuple(nodes), tensors=tensors))
