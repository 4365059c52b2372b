"""What a quantized ONNX file says about its activations: fake_quant nodes become the quantization of float tensors.

A float32 tensor with a `quant` in its type is annotated: so its integers are to be. Where two annotations of one
tensor differ, and where an operator cannot give what is asked for, a requantize node makes the step from one to the
other; where the two differ in no integer there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mcugen.fixed import ALL_INT8, mbqm, quantize_multiplier
from mcugen.ir import DType, Graph, Node, Quant, Tensor, TensorType
from mcugen.ops import OPS
from mcugen.ops.fake_quant import quant_of
from mcugen.ops.op import activation_quant, limits
from mcugen.ops.unary import clip_bounds
from mcugen.rewrite import with_nodes

# They compute with their input's scale, and more than a choice among its values: what lies outside of the output's
# range must not be cut off before.
AVERAGING = ("average_pool2d", "resize_bilinear")


def annotated(graph: Graph) -> bool:
    """Whether the model file quantizes any activation."""
    return any(t.data is None and _quant(t) is not None for t in graph.tensors.values())


def annotation_type(graph: Graph) -> DType:
    """What the annotated activations are to become: int8, or all of them int16; int8 where there are none."""
    types = (t.type.integers for t in graph.tensors.values() if t.data is None and _quant(t) is not None)
    return next(types, DType.INT8)


def quantized_weights(graph: Graph) -> bool:
    """Whether the model file quantizes any weights: what changes weights would change its integers."""
    return any(t.data is not None and _quant(t) is not None for t in graph.tensors.values())


def _quant(tensor: Tensor) -> Quant | None:
    return tensor.type.quant if tensor.type.dtype is DType.FLOAT32 else None


def alike(a: Quant, b: Quant, dtype: DType = DType.INT8) -> bool:
    """Whether a step from one quantization to the other changes no integer."""
    if a == b or dtype is not DType.INT8:
        return a == b
    if a.zero_point != b.zero_point or not 0.5 < a.scale[0] / b.scale[0] < 2.0:
        return False
    moved = mbqm(ALL_INT8 - a.zero_point[0], *quantize_multiplier(a.scale[0] / b.scale[0]))
    return bool((np.clip(moved + b.zero_point[0], -128, 127) == ALL_INT8).all())


def _own_quant(
    graph: Graph, maker: Node, sources: list[Quant | None], shared: bool, dtype: DType
) -> Quant | None:
    """The quantization that an operator's output has whatever is asked for it. `shared`: others read the output as it
    is, so that it keeps its inputs' quantization where the operator does."""
    keeps = maker.op in AVERAGING or (shared and keeps_scale(maker, graph))
    if keeps and len(set(sources)) == 1:
        return sources[0]
    return OPS[maker.op].fixed_quant(maker, dtype) if maker.op != "unary" else None


def _holding(asked: Sequence[Quant], dtype: DType) -> Quant:
    """The quantization of a tensor for which several are asked: one that cuts off nothing that any of them holds."""
    least, most = limits(dtype)
    low = min(q.scale[0] * (least - q.zero_point[0]) for q in asked)
    high = max(q.scale[0] * (most - q.zero_point[0]) for q in asked)
    for q in asked:
        half = 0.5 * q.scale[0]
        if (
            q.scale[0] * (least - q.zero_point[0]) <= low + half
            and q.scale[0] * (most - q.zero_point[0]) >= high - half
        ):
            return q
    return activation_quant(low, high)


def keeps_scale(node: Node, graph: Graph) -> bool:
    """Whether an operator's output may be read with the scale of its inputs."""
    return bool(OPS[node.op].same_quant(node, graph)) or clip_bounds(node) is not None


def take_annotations(graph: Graph) -> Graph:
    """The graph without fake_quant nodes, what they said in the types of the tensors."""
    producers, readers = graph.producers(), graph.consumers()
    asked: dict[str, list[Quant]] = {}
    for node in graph.nodes:
        if node.op == "fake_quant":
            asked.setdefault(node.inputs[0], []).append(quant_of(node))
    stands_for: dict[str, str] = {}
    quants: dict[str, Quant] = {}
    dtype = DType.INT8
    tensors = dict(graph.tensors)
    outputs = list(graph.outputs)
    nodes: list[Node] = []
    for node in graph.nodes:
        node = replace(node, inputs=tuple(stands_for.get(i, i) for i in node.inputs))
        if node.op != "fake_quant":
            nodes.append(node)
            continue
        (x,), (y,), wanted = node.inputs, node.outputs, quant_of(node)
        dtype = DType(node.attrs["dtype"])  # of all of them
        if x not in quants:
            maker = producers.get(x)
            sources = [quants.get(stands_for.get(i, i)) for i in maker.inputs] if maker else []
            shared = x in graph.outputs or any(n.op != "fake_quant" for n in readers[x])
            own = _own_quant(graph, maker, sources, shared, dtype) if maker else None
            quants[x] = own or _holding(asked[x], dtype)
        if alike(quants[x], wanted, dtype) and not (y in outputs and (x in outputs or x in graph.inputs)):
            stands_for[y] = x
            if y in outputs:
                outputs[outputs.index(y)] = x
                tensors[x] = replace(tensors[x], source=tensors[y].source)
        else:
            nodes.append(Node(y, "requantize", (x,), (y,), {}, node.origin))
            quants[y] = wanted
    for name, quant in quants.items():
        annotated_type = replace(tensors[name].type, quant=quant, integers=dtype)
        tensors[name] = replace(tensors[name], type=annotated_type)
    return with_nodes(replace(graph, outputs=tuple(outputs)), nodes, tensors)


def show_annotations(graph: Graph) -> Graph:
    """The graph with a fake_quant node behind every annotated activation, which keeps its name: the annotated model."""
    tensors = dict(graph.tensors)
    nodes: list[Node] = []
    renamed: dict[str, str] = {}

    def show(known: str, real: str, shown: str) -> None:
        quant, dtype = _quant(graph.tensors[known]), graph.type(known).integers
        assert quant is not None
        tensors.update({n: replace(graph.tensors[known], name=n) for n in (real, shown)})
        attrs = {"scale": quant.scale[0], "zero_point": quant.zero_point[0], "dtype": dtype.value}
        nodes.append(Node(shown, "fake_quant", (real,), (shown,), attrs, "mcugen:annotation"))

    for name in graph.inputs:
        if _quant(graph.tensors[name]) is not None:
            renamed[name] = f"{name}/annotated"
            show(name, name, renamed[name])
    for node in graph.nodes:
        inputs = tuple(renamed.get(i, i) for i in node.inputs)
        noted = [o for o in node.outputs if _quant(graph.tensors[o]) is not None]
        outputs = tuple(f"{o}/real" if o in noted else o for o in node.outputs)
        nodes.append(replace(node, inputs=inputs, outputs=outputs))
        for name in noted:
            show(name, f"{name}/real", name)
    return without_annotations(with_nodes(replace(graph, tensors=tensors), nodes))


def without_annotations(graph: Graph) -> Graph:
    """The float graph alone."""
    tensors = {
        name: t if _quant(t) is None else replace(t, type=TensorType(t.shape))
        for name, t in graph.tensors.items()
    }
    return replace(graph, tensors=tensors)
