"""Reshapes move behind element-wise functions, chains of them become one, and those that change nothing vanish."""

from __future__ import annotations

from dataclasses import replace

from mcugen.ir import Graph, Node, Tensor
from mcugen.rewrite import with_nodes


def merge_reshapes(graph: Graph) -> Graph:
    """The same graph with at most one reshape between any two other operators, and none before a unary one; but for
    those that give the same integers another scale, as .tflite files may."""
    origin: dict[str, str] = {}  # output of a reshape -> what it reshapes; both mean the same numbers
    same: dict[str, str] = {}  # output of a reshape that changes nothing -> its input
    tensors: dict[str, Tensor] = dict(graph.tensors)
    nodes: list[Node] = []
    for node in graph.nodes:
        node = replace(node, inputs=tuple(same.get(i, i) for i in node.inputs))
        if node.op in ("unary", "fake_quant") and node.inputs[0] in origin:
            (out,), source = node.outputs, origin[node.inputs[0]]
            inner = f"{out}/unshaped"
            while inner in tensors:
                inner += "'"
            ttype = replace(tensors[out].type, shape=tensors[source].shape)
            tensors[inner] = Tensor(inner, ttype, source=tensors[out].source)
            nodes.append(replace(node, name=inner, inputs=(source,), outputs=(inner,)))
            node = Node(out, "reshape", (inner,), (out,), {"shape": tensors[out].shape}, node.origin)
        if node.op == "reshape":
            (out,), source = node.outputs, origin.get(node.inputs[0], node.inputs[0])
            node = replace(node, inputs=(source,))
            before, after = tensors[source].type, tensors[out].type
            if (before.dtype, before.quant) == (after.dtype, after.quant):
                origin[out] = source
            if before == after and out not in graph.outputs:
                same[out] = source
                continue
        nodes.append(node)
    return with_nodes(graph, nodes, tensors)
