"""Let the first convolution read a channels-first input as it comes, instead of a transposed copy of it."""

from __future__ import annotations

from dataclasses import replace

from mcugen.ir import Graph, Node
from mcugen.rewrite import fused_origins, with_nodes

TO_CHANNELS_LAST = (0, 2, 3, 1)


def fuse_input_transpose(graph: Graph) -> Graph:
    """The graph without transposes of its inputs whose only readers are convolutions without groups.

    Such a transpose costs a copy of the whole input in the arena. Runs after the channel passes, which know
    channels as the last axis only.
    """
    consumers = graph.consumers()
    fused: dict[str, Node] = {}  # output of a transpose that goes -> the transpose
    for node in graph.nodes:
        if (
            node.op != "transpose"
            or node.attrs["perm"] != TO_CHANNELS_LAST
            or node.inputs[0] not in graph.inputs
        ):
            continue
        readers = consumers[node.outputs[0]]
        plain = all(r.op == "conv2d" and r.attrs["groups"] == 1 for r in readers)
        if plain and readers and node.outputs[0] not in graph.outputs:
            fused[node.outputs[0]] = node
    nodes = [
        replace(
            node.with_attrs(channels_first=True),
            inputs=(fused[node.inputs[0]].inputs[0], *node.inputs[1:]),
            fused=fused_origins(node, fused[node.inputs[0]]),
        )
        if node.inputs[0] in fused
        else node
        for node in graph.nodes
    ]
    return with_nodes(graph, nodes)
