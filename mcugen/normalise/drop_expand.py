"""Copies of a tensor along an axis are dropped in front of operators that broadcast by themselves."""

from __future__ import annotations

from dataclasses import replace

from mcugen.ir import Graph, Node
from mcugen.rewrite import with_nodes


def _copied(node: Node | None, graph: Graph) -> str | None:
    """What a concatenation of one tensor of size 1 with itself copies."""
    if node is None or node.op != "concat" or len(set(node.inputs)) != 1:
        return None
    return node.inputs[0] if graph.type(node.inputs[0]).shape[node.attrs["axis"]] == 1 else None


def drop_expand(graph: Graph) -> Graph:
    """The graph whose add, sub and mul read the smaller tensor, wherever their other operand has the full size."""
    producers = graph.producers()
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.op in ("add", "sub", "mul"):
            operands = list(node.inputs)
            for i in (0, 1):
                other = graph.type(operands[1 - i]).shape
                while (small := _copied(producer := producers.get(operands[i]), graph)) is not None:
                    assert producer is not None
                    axis = producer.attrs["axis"]
                    if other[axis] != graph.type(operands[i]).shape[axis]:
                        break
                    operands[i] = small
            node = replace(node, inputs=tuple(operands))
        nodes.append(node)
    return with_nodes(graph, nodes)
