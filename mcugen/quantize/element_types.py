"""Which node computes with which element type, and conversions where two types meet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mcugen.ir import DType, Graph, Node
from mcugen.rewrite import index_tensors, with_nodes

Types = Mapping[str, DType]  # of nodes by name: those of their activations

CONVERT = "convert"  # until it is known what is converted to what


@dataclass
class Separated:
    """A float graph with conversions, every activation's type, and which tensor another one has the values of."""

    graph: Graph
    types: dict[str, DType] = field(default_factory=dict)
    same: dict[str, str] = field(default_factory=dict)


def separate(graph: Graph, types: Types, usual: DType) -> Separated:
    """A conversion wherever a node reads what a node of another type has made. Nodes that `types` does not name are
    of the type `usual`, and so are the model's outputs; its inputs are of the type of their readers if these agree."""
    made = Separated(graph, {name: _input_type(graph, name, types, usual) for name in graph.inputs})
    tensors, nodes = dict(graph.tensors), []
    indices = index_tensors(graph)

    def convert(x: str, y: str, dtype: DType) -> None:
        tensors[y] = replace(graph.tensors[made.same.get(x, x)], name=y)
        nodes.append(Node(y, CONVERT, (x,), (y,), {}, "mcugen:types"))
        made.types[y] = dtype

    for node in graph.nodes:
        wanted = types.get(node.name, usual)
        inputs = list(node.inputs)
        for i, name in enumerate(inputs):
            if name in indices or made.types.get(name, wanted) is wanted:
                continue
            inputs[i] = f"{name}/{wanted}"
            if inputs[i] not in made.types:
                made.same[inputs[i]] = name
                convert(name, inputs[i], wanted)
        outputs = list(node.outputs)
        for i, name in enumerate(outputs):
            made.types[name] = wanted
            if name in graph.outputs and wanted is not usual and name not in indices:
                outputs[i] = f"{name}/{wanted}"
                made.same[outputs[i]] = name
                made.types[outputs[i]] = wanted
                tensors[outputs[i]] = replace(graph.tensors[name], name=outputs[i])
        nodes.append(replace(node, inputs=tuple(inputs), outputs=tuple(outputs)))
        for name, inner in zip(node.outputs, outputs, strict=True):
            if name != inner:
                convert(inner, name, usual)
    made.graph = with_nodes(replace(graph, tensors=tensors), nodes)
    return made


def _input_type(graph: Graph, name: str, types: Types, usual: DType) -> DType:
    wanted = {types.get(n.name, usual) for n in graph.nodes if name in n.inputs}
    return wanted.pop() if len(wanted) == 1 else usual
