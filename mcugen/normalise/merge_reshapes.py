"""Reshapes of reshapes become one, and those that change nothing vanish."""

from __future__ import annotations

from dataclasses import replace

from mcugen.ir import Graph, Node
from mcugen.rewrite import with_nodes


def merge_reshapes(graph: Graph) -> Graph:
    """The same graph with at most one reshape between any two other operators."""
    origin: dict[str, str] = {}  # output of a reshape -> what it reshapes
    same: dict[str, str] = {}  # output of a reshape that changes nothing -> its input
    nodes: list[Node] = []
    for node in graph.nodes:
        node = replace(node, inputs=tuple(same.get(i, i) for i in node.inputs))
        if node.op == "reshape":
            source = origin.get(node.inputs[0], node.inputs[0])
            node = replace(node, inputs=(source,))
            origin[node.outputs[0]] = source
            if (
                graph.type(source).shape == graph.type(node.outputs[0]).shape
                and node.outputs[0] not in graph.outputs
            ):
                same[node.outputs[0]] = source
                continue
        nodes.append(node)
    return with_nodes(graph, nodes)
