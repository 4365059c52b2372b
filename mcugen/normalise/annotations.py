"""What a quantized ONNX file says about its activations: fake_quant nodes become the quantization of float tensors.

A float32 tensor with a `quant` in its type is annotated: so its integers are to be. Where two annotations of one
tensor differ, and where an operator cannot give what is asked for, a requantize node makes the step from one to the
other; where the two differ in no integer there is none.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mcugen.fixed import ALL_INT8, mbqm, quantize_multiplier
from mcugen.ir import DType, Graph, Node, Quant, Tensor, TensorType
from mcugen.ops import OPS
from mcugen.ops.fake_quant import quant_of
from mcugen.rewrite import with_nodes

# They compute with their input's scale, and more than a choice among its values: what lies outside of the output's
# range must not be cut off before.
AVERAGING = ("average_pool2d", "resize_bilinear")


def annotated(graph: Graph) -> bool:
    """Whether the model file quantizes any activation."""
    return any(t.data is None and _quant(t) is not None for t in graph.tensors.values())


def _quant(tensor: Tensor) -> Quant | None:
    return tensor.type.quant if tensor.type.dtype is DType.FLOAT32 else None


def alike(a: Quant, b: Quant) -> bool:
    """Whether a step from one quantization to the other changes no integer."""
    if a == b:
        return True
    if a.zero_point != b.zero_point or not 0.5 < a.scale[0] / b.scale[0] < 2.0:
        return False
    moved = mbqm(ALL_INT8 - a.zero_point[0], *quantize_multiplier(a.scale[0] / b.scale[0]))
    return bool((np.clip(moved + b.zero_point[0], -128, 127) == ALL_INT8).all())


def _own_quant(maker: Node, source: str, quants: dict[str, Quant]) -> Quant | None:
    """The quantization that the output of an operator that reads `source` has, whatever the file asks for."""
    if maker.op in AVERAGING:
        return quants.get(source)
    return OPS[maker.op].fixed_quant(maker) if maker.op != "unary" else None


def take_annotations(graph: Graph) -> Graph:
    """The graph without fake_quant nodes, what they said in the types of the tensors."""
    producers = graph.producers()
    stands_for: dict[str, str] = {}
    quants: dict[str, Quant] = {}
    tensors = dict(graph.tensors)
    outputs = list(graph.outputs)
    nodes: list[Node] = []
    for node in graph.nodes:
        node = replace(node, inputs=tuple(stands_for.get(i, i) for i in node.inputs))
        if node.op != "fake_quant":
            nodes.append(node)
            continue
        (x,), (y,), wanted = node.inputs, node.outputs, quant_of(node)
        if x not in quants:
            maker = producers.get(x)
            own = (
                _own_quant(maker, stands_for.get(maker.inputs[0], maker.inputs[0]), quants) if maker else None
            )
            quants[x] = own or wanted
        if alike(quants[x], wanted) and not (y in outputs and (x in outputs or x in graph.inputs)):
            stands_for[y] = x
            if y in outputs:
                outputs[outputs.index(y)] = x
                tensors[x] = replace(tensors[x], source=tensors[y].source)
        else:
            nodes.append(Node(y, "requantize", (x,), (y,), {}, node.origin))
            quants[y] = wanted
    for name, quant in quants.items():
        tensors[name] = replace(tensors[name], type=replace(tensors[name].type, quant=quant))
    return with_nodes(replace(graph, outputs=tuple(outputs)), nodes, tensors)


def show_annotations(graph: Graph) -> Graph:
    """The graph with a fake_quant node behind every annotated activation, which keeps its name: the annotated model."""
    tensors = dict(graph.tensors)
    nodes: list[Node] = []
    renamed: dict[str, str] = {}

    def show(known: str, real: str, shown: str) -> None:
        quant = _quant(graph.tensors[known])
        assert quant is not None
        tensors.update({n: replace(graph.tensors[known], name=n) for n in (real, shown)})
        attrs = {"scale": quant.scale[0], "zero_point": quant.zero_point[0]}
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
