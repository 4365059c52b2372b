"""Small tools that passes share: every pass takes a Graph and returns another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from mcugen.ir import Array, DType, Graph, Node, Tensor, TensorType

INDEX_OPS = ("arg_max", "arg_min")


def live(graph: Graph) -> Graph:
    """Without nodes that no output or state depends on, and without tensors that nothing names. Inputs stay."""
    needed = set(graph.outputs)
    states = set(graph.states)
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs) or states.intersection(node.inputs):
            kept.append(node)
            needed.update(node.inputs)
    used = {*graph.inputs, *graph.states, *graph.outputs, *(t for n in kept for t in (*n.inputs, *n.outputs))}
    tensors = {name: tensor for name, tensor in graph.tensors.items() if name in used}
    return replace(graph, nodes=tuple(reversed(kept)), tensors=tensors)


def with_nodes(graph: Graph, nodes: Iterable[Node], tensors: Mapping[str, Tensor] | None = None) -> Graph:
    """The graph with other nodes and with further or replaced tensors, swept of what is unused."""
    return live(replace(graph, nodes=tuple(nodes), tensors={**graph.tensors, **(tensors or {})}))


def with_constants(graph: Graph, changed: Mapping[tuple[str, int], Array]) -> Graph:
    """The graph with constant inputs of nodes replaced, by (the node's first output, place among its inputs); under a
    name of its own where another input is the same constant."""
    uses = Counter(name for node in graph.nodes for name in node.inputs)
    tensors = dict(graph.tensors)
    nodes = []
    for node in graph.nodes:
        inputs = list(node.inputs)
        for place, old in enumerate(node.inputs):
            data = changed.get((node.outputs[0], place))
            if data is not None:
                inputs[place] = old if uses[old] == 1 else f"{old}/{node.outputs[0]}/{place}"
                tensors[inputs[place]] = replace(graph.tensors[old], name=inputs[place], data=data)
        nodes.append(replace(node, inputs=tuple(inputs)))
    return with_nodes(graph, nodes, tensors)


def index_tensors(graph: Graph) -> dict[str, Node]:
    """Tensors that hold indices, reshaped or not, with the node that found them."""
    return index_makers(graph.nodes)


def with_integer_indices(graph: Graph) -> Graph:
    """The same graph, whose indices are int32."""
    tensors = dict(graph.tensors)
    for name in index_tensors(graph):
        tensors[name] = replace(tensors[name], type=TensorType(tensors[name].shape, DType.INT32))
    return replace(graph, tensors=tensors)


def index_makers(nodes: Iterable[Node]) -> dict[str, Node]:
    """The same for nodes in execution order that are no graph yet."""
    makers: dict[str, Node] = {}
    for node in nodes:
        if node.op in INDEX_OPS:
            makers[node.outputs[0]] = node
        elif node.op == "reshape" and node.inputs[0] in makers:
            makers[node.outputs[0]] = makers[node.inputs[0]]
    return makers


def sole_consumer(graph: Graph, tensor: str, consumers: Mapping[str, list[Node]]) -> Node | None:
    """The one node that reads an activation, if there is just one and the tensor is no output of the graph."""
    users = consumers[tensor]
    return users[0] if len(users) == 1 and tensor not in graph.outputs else None


def fused_origins(*nodes: Node) -> tuple[str, ...]:
    """Origins of what the first node swallows, each once."""
    names = [*nodes[0].fused]
    for node in nodes[1:]:
        names += [node.origin, *node.fused]
    return tuple(dict.fromkeys(n for n in names if n and n != nodes[0].origin))
