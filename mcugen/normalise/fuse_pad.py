"""Fuse zero padding of height and width into the convolution that reads it."""

from __future__ import annotations

from dataclasses import replace

from mcugen.ir import Graph, Node
from mcugen.rewrite import fused_origins, with_nodes


def _spatial_zero_pads(node: Node | None) -> tuple[int, int, int, int] | None:
    """(top, left, bottom, right) of a pad node on NHWC that pads height and width with zero only."""
    if node is None or node.op != "pad" or node.attrs["value"] != 0.0 or len(node.attrs["pads"]) != 4:
        return None
    batch, (top, bottom), (left, right), channels = node.attrs["pads"]
    if tuple(batch) != (0, 0) or tuple(channels) != (0, 0):
        return None
    return top, left, bottom, right


def fuse_pad(graph: Graph) -> Graph:
    """The graph without such pad nodes in front of convolutions."""
    producers = graph.producers()
    nodes = []
    for node in graph.nodes:
        pad = producers.get(node.inputs[0])
        extra = _spatial_zero_pads(pad)
        if pad is not None and extra is not None and node.op in ("conv2d", "depthwise_conv2d"):
            pads = tuple(int(a + b) for a, b in zip(node.attrs["pads"], extra, strict=True))
            node = replace(
                node.with_attrs(pads=pads),
                inputs=(pad.inputs[0], *node.inputs[1:]),
                fused=fused_origins(node, pad),
            )
        nodes.append(node)
    return with_nodes(graph, nodes)
