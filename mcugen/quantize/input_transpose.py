"""Let the first convolution read a channels-first input as it comes, instead of a transposed copy of it."""

from __future__ import annotations

from dataclasses import replace

from mcugen.ir import DType, Graph, Node, Tensor
from mcugen.rewrite import fused_origins, with_nodes

IMAGE, SIGNAL = (0, 2, 3, 1), (0, 2, 1)  # what turns [N, C, H, W] and [N, C, L] into channels last


def _plain(graph: Graph, node: Node) -> bool:
    """Whether a kernel reads the input of a node channels first."""
    int8 = graph.type(node.outputs[0]).dtype is DType.INT8
    return int8 and node.op == "conv2d" and node.attrs["groups"] == 1


def _replaceable(
    graph: Graph, consumers: dict[str, list[Node]], transpose: Node
) -> dict[str, tuple[int, ...]]:
    """Tensors behind a transpose of an input that only convolutions read, with the channels-first shape that they
    would read instead; empty if anything else reads them."""
    source, output = transpose.inputs[0], transpose.outputs[0]
    if source not in graph.inputs or output in graph.outputs:
        return {}
    if graph.type(source).quant != graph.type(output).quant:  # the same integers under another scale
        return {}
    if transpose.attrs["perm"] == IMAGE:
        return {output: graph.type(source).shape} if all(_plain(graph, n) for n in consumers[output]) else {}
    if transpose.attrs["perm"] != SIGNAL:
        return {}
    n, channels, length = graph.type(source).shape
    found: dict[str, tuple[int, ...]] = {}
    for reshape in consumers[output]:  # a signal is an image of width 1
        images = consumers[reshape.outputs[0]]
        image = replace(graph.type(source), shape=(n, length, 1, channels))
        fits = reshape.op == "reshape" and graph.type(reshape.outputs[0]) == image
        if not fits or reshape.outputs[0] in graph.outputs or not all(_plain(graph, n) for n in images):
            return {}
        found[reshape.outputs[0]] = (n, channels, length, 1)
    return found


def fuse_input_transpose(graph: Graph) -> Graph:
    """The graph without transposes of its inputs whose only readers are convolutions without groups.

    Such a transpose costs a copy of the whole input in the arena. Runs after the channel passes, which know
    channels as the last axis only.
    """
    consumers = graph.consumers()
    instead: dict[str, tuple[str, Node]] = {}  # what a convolution reads -> what it shall read, the transpose
    nodes: list[Node] = []
    tensors: dict[str, Tensor] = {}
    for node in graph.nodes:
        if node.op == "transpose":
            for name, shape in _replaceable(graph, consumers, node).items():
                source = graph.tensors[node.inputs[0]]
                view = source.name
                if shape != source.shape:
                    view = f"{name}/channels_first"
                    tensors[view] = replace(source, name=view, type=replace(source.type, shape=shape))
                    nodes.append(
                        Node(view, "reshape", (source.name,), (view,), {"shape": shape}, node.origin)
                    )
                instead[name] = (view, node)
        elif node.inputs[0] in instead and _plain(graph, node):
            view, transpose = instead[node.inputs[0]]
            node = replace(
                node.with_attrs(channels_first=True),
                inputs=(view, *node.inputs[1:]),
                fused=fused_origins(node, transpose),
            )
        nodes.append(node)
    return with_nodes(graph, nodes, tensors)
