"""Fuse zero padding of height and width into the convolution that reads it."""

from __future__ import annotations

from dataclasses import replace

from mcugen.ir import Graph, Node, Tensor
from mcugen.rewrite import fused_origins, with_nodes


def _spatial_zero_pads(node: Node) -> tuple[int, int, int, int] | None:
    """(top, left, bottom, right) of a node that pads height and width of NHWC, or the length of NLC, with zero only."""
    if node.op != "pad" or node.attrs["value"] != 0.0 or len(node.attrs["pads"]) not in (3, 4):
        return None
    batch, (top, bottom), *width, channels = node.attrs["pads"]
    if tuple(batch) != (0, 0) or tuple(channels) != (0, 0):
        return None
    left, right = width[0] if width else (0, 0)
    return top, left, bottom, right


def _keeps_scale(pad: Node, graph: Graph) -> bool:
    """Whether nothing is rescaled between the tensors before and behind it."""
    x, y = graph.type(pad.inputs[0]).quant, graph.type(pad.outputs[0]).quant
    return x is None or y is None or x == y


def fuse_pad(graph: Graph) -> Graph:
    """The graph without such pad nodes in front of convolutions, be it with the reshape of a 1-D layer between."""
    producers = graph.producers()
    nodes: list[Node] = []
    tensors: dict[str, Tensor] = {}
    for node in graph.nodes:
        shape = producers.get(node.inputs[0])
        pad = producers.get(shape.inputs[0]) if shape is not None and shape.op == "reshape" else shape
        extra = _spatial_zero_pads(pad) if pad is not None and _keeps_scale(pad, graph) else None
        if pad is None or shape is None or extra is None or node.op not in ("conv2d", "depthwise_conv2d"):
            nodes.append(node)
            continue
        x, image = pad.inputs[0], graph.type(node.inputs[0]).shape
        if len({graph.type(t).quant for t in (x, pad.outputs[0], node.inputs[0])}) > 1:
            nodes.append(node)  # the same integers under another scale
            continue
        if shape is not pad:  # [1, L, C] as an image of one column, or of one row
            top, _, bottom, _ = extra
            rows, channels = graph.type(x).shape[-2:]
            padded = rows + top + bottom
            if len(pad.attrs["pads"]) == 3 and image == (1, padded, 1, channels):
                unpadded = (1, rows, 1, channels)
            elif len(pad.attrs["pads"]) == 3 and image == (1, 1, padded, channels):
                unpadded, extra = (1, 1, rows, channels), (0, top, 0, bottom)
            else:
                nodes.append(node)
                continue
            flat, x = x, f"{x}/unpadded{unpadded[1]}"
            if x not in tensors:
                nodes.append(replace(shape, name=x, inputs=(flat,), outputs=(x,), attrs={"shape": unpadded}))
                tensors[x] = Tensor(
                    x, replace(graph.type(flat), shape=unpadded), source=graph.tensors[flat].source
                )
        pads = tuple(int(a + b) for a, b in zip(node.attrs["pads"], extra, strict=True))
        fused = fused_origins(node, pad)
        nodes.append(replace(node.with_attrs(pads=pads), inputs=(x, *node.inputs[1:]), fused=fused))
    return with_nodes(graph, nodes, tensors)
