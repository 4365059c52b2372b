"""Full-integer post-training quantization: activations int8 or int16 per tensor, weights int8 per channel.

The rules are the operators' own: which tensors share a quantization, which outputs have a fixed one, how constants
become integers (mcugen.ops). Where two rules meet that cannot both hold, a requantize node is put between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mcugen.errors import Fault, InternalError
from mcugen.ir import DType, Graph, Node, Quant, Tensor, TensorType
from mcugen.ops import OPS
from mcugen.ops.op import activation_quant, limits
from mcugen.quantize.element_types import CONVERT, Types, separate
from mcugen.quantize.ports import conversion
from mcugen.rewrite import index_tensors, live

Ranges = Mapping[str, tuple[float, float]]


class _Groups:
    """Disjoint sets of activations that share one quantization; a set may be pinned to a fixed one."""

    def __init__(self, ranges: Ranges, types: Mapping[str, DType]) -> None:
        self.parent: dict[str, str] = {}
        self.pinned: dict[str, Quant] = {}
        self.types = types  # a set's members are of one type
        self.ranges = dict(ranges)  # of a set, by its root

    def find(self, name: str) -> str:
        root = name
        while self.parent.setdefault(root, root) != root:
            root = self.parent[root]
        while self.parent[name] != root:  # so that long chains stay short
            self.parent[name], name = root, self.parent[name]
        return root

    def join(self, a: str, b: str) -> bool:
        """Unite two sets, unless they are pinned to different quantizations, or one to what the other does not fit."""
        a, b = self.find(a), self.find(b)
        if a == b:
            return True
        if b in self.pinned:
            a, b = b, a
        if b in self.pinned:
            if self.pinned[a] != self.pinned[b]:
                return False
        elif a in self.pinned and not _fits(self.ranges[b], self.pinned[a], self.types[a]):
            return False
        self.parent[b] = a
        (lo, hi), (other_lo, other_hi) = self.ranges[a], self.ranges[b]
        self.ranges[a] = min(lo, other_lo), max(hi, other_hi)
        return True


def _fits(bounds: tuple[float, float], quant: Quant, dtype: DType) -> bool:
    """Whether a range loses no more than two steps at either end of a fixed quantization."""
    scale, zero_point = quant.scale[0], quant.zero_point[0]
    low, high = limits(dtype)
    return (low - 2 - zero_point) * scale <= bounds[0] and bounds[1] <= (high + 2 - zero_point) * scale


def _group(
    graph: Graph, ranges: Ranges, integer: Sequence[Node], types: Mapping[str, DType]
) -> tuple[_Groups, list[tuple[Node, str]]]:
    """Sets of activations with one quantization, and the (node, input) pairs that need a requantize. `integer`: the
    nodes that have rules."""
    groups = _Groups(ranges, types)
    for node in integer:
        fixed = OPS[node.op].fixed_quant(node, types[node.outputs[0]])
        if fixed is not None:
            groups.pinned[groups.find(node.outputs[0])] = fixed
    for name, tensor in graph.tensors.items():  # what the model file fixes
        if tensor.data is None and tensor.type.quant is not None:
            groups.pinned[groups.find(name)] = tensor.type.quant
    conflicts = []
    for node in integer:
        output = node.outputs[0]
        for name in dict.fromkeys(OPS[node.op].same_quant(node, graph)):
            if name != output and not groups.join(output, name):
                conflicts.append((node, name))
    return groups, conflicts


def activation_quants(graph: Graph, groups: _Groups) -> dict[str, Quant]:
    """Quantization of every activation: of its set's whole range, or what the set is pinned to."""
    names = [n for n, t in graph.tensors.items() if t.data is None]
    quants: dict[str, Quant] = {}
    for root in dict.fromkeys(groups.find(n) for n in names):
        dtype = groups.types.get(root, DType.FLOAT32)
        if dtype is not DType.FLOAT32:
            quants[root] = groups.pinned.get(root) or activation_quant(*groups.ranges[root], dtype)
    return {name: quants[groups.find(name)] for name in names if groups.find(name) in quants}


def planned_quants(
    graph: Graph, ranges: Ranges, usual: DType = DType.INT8
) -> tuple[dict[str, Quant], frozenset[str]]:
    """What `quantize` makes of the ranges, and the activations whose quantization an operator fixes."""
    groups, _ = _group(graph, ranges, graph.nodes, dict.fromkeys(graph.tensors, usual))
    quants = activation_quants(graph, groups)
    return quants, frozenset(name for name in quants if groups.find(name) in groups.pinned)


def spread_ranges(
    graph: Graph, ranges: Ranges, by_hand: Ranges, usual: DType = DType.INT8
) -> dict[str, tuple[float, float]]:
    """Ranges by hand for all activations that share a quantization with one that has such a range: calibration has
    no say in theirs, or it would widen them again."""
    types = dict.fromkeys(graph.tensors, usual)
    groups, _ = _group(graph, {**ranges, **by_hand}, graph.nodes, types)
    hands: dict[str, tuple[float, float]] = {}
    for name, (lo, hi) in by_hand.items():
        old = hands.get(groups.find(name), (lo, hi))
        hands[groups.find(name)] = min(lo, old[0]), max(hi, old[1])
    return {name: hands[groups.find(name)] for name in ranges if groups.find(name) in hands}


def _requantized_inputs(
    graph: Graph, node: Node, conflicts: list[tuple[Node, str]], types: dict[str, TensorType]
) -> tuple[Node, list[Node], dict[str, Tensor]]:
    """A node whose conflicting inputs come through requantize nodes, those nodes and their tensors."""
    added: list[Node] = []
    tensors: dict[str, Tensor] = {}
    for name in [name for other, name in conflicts if other is node]:
        fresh = f"{node.outputs[0]}/requantize{len(added)}"
        old = graph.tensors[name]
        types[fresh] = replace(types[node.outputs[0]], shape=old.shape)
        tensors[fresh] = Tensor(fresh, types[fresh], source=old.source)
        added.append(Node(fresh, "requantize", (name,), (fresh,), {}, node.origin))
        node = replace(node, inputs=tuple(fresh if i == name else i for i in node.inputs))
    return node, added, tensors


def quantize(graph: Graph, ranges: Ranges, types: Types | None = None, usual: DType = DType.INT8) -> Graph:
    """The quantized graph of a normalised float graph. `ranges` holds (min, max) of every activation by name; `types`
    the element types of nodes that are not of the type `usual`."""
    missing = [
        Fault(n, "has no range") for n, t in graph.tensors.items() if t.data is None and n not in ranges
    ]
    if missing:
        raise InternalError("calibration left tensors without a range", missing)
    made = separate(graph, types or {}, usual)
    graph, kinds = made.graph, made.types
    ranges = {**ranges, **{name: ranges[old] for name, old in made.same.items()}}
    integer = [n for n in graph.nodes if n.op != CONVERT and kinds[n.outputs[0]] is not DType.FLOAT32]
    groups, conflicts = _group(graph, ranges, integer, kinds)
    quants = activation_quants(graph, groups)
    indices = index_tensors(graph)
    tensors = {
        name: replace(t, type=_activation_type(name, t, kinds, quants, name in indices))
        for name, t in graph.tensors.items()
        if t.data is None
    }
    quantized_types = {name: t.type for name, t in tensors.items()}
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.op == CONVERT:
            nodes.append(conversion(node.inputs[0], node.outputs[0], tensors, node.origin))
            continue
        if kinds[node.outputs[0]] is DType.FLOAT32:
            reals = [graph.tensors[i] for i in node.inputs if graph.is_constant(i)]
            tensors |= {t.name: replace(t, type=TensorType(t.shape, t.type.dtype)) for t in reals}
            nodes.append(node)
            continue
        changed, added, extra = _requantized_inputs(graph, node, conflicts, quantized_types)
        tensors.update(extra)
        widened = replace(graph, tensors={**graph.tensors, **extra})
        quantized, constants = OPS[node.op].quantize(changed, widened, quantized_types)
        nodes += [*added, _with_constants(quantized, constants, tensors)]
    return live(replace(graph, nodes=tuple(nodes), tensors=tensors))


def _activation_type(
    name: str, tensor: Tensor, kinds: Mapping[str, DType], quants: Mapping[str, Quant], index: bool
) -> TensorType:
    if index:
        return TensorType(tensor.shape, DType.INT32)
    dtype = kinds[name]
    return TensorType(tensor.shape, dtype, None if dtype is DType.FLOAT32 else quants[name])


def _with_constants(node: Node, constants: Mapping[str, Tensor], tensors: dict[str, Tensor]) -> Node:
    """The node; its constants join `tensors`, under another name where a constant is shared by nodes that quantize it
    differently."""
    for name, constant in constants.items():
        if name in tensors and tensors[name].type != constant.type:
            fresh = f"{name}/{node.outputs[0]}"
            constant = replace(constant, name=fresh)
            node = replace(node, inputs=tuple(fresh if i == name else i for i in node.inputs))
        tensors[constant.name] = constant
    return node
