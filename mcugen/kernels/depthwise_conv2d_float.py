"""depthwise_conv2d in float32 for every core, with weights stored as float32 or float16."""

from __future__ import annotations

import math

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import DType, Graph, Node
from mcugen.kernels.conv2d_float import Conv2DFloat32, weighted_fields
from mcugen.kernels.kernel import Call, Tables, Value, window_row_access


def depthwise_fields(node: Node, graph: Graph) -> dict[str, Value]:
    """Descriptor fields: extents and window."""
    _, h, w, c = graph.type(node.inputs[0]).shape
    _, _, wo, o = graph.type(node.outputs[0]).shape
    _, kh, kw, _ = graph.type(node.inputs[1]).shape
    return {
        "x_height": h,
        "x_width": w,
        "x_channels": c,
        "y_width": wo,
        "depth_multiplier": o // c,
        "kernel_height": kh,
        "kernel_width": kw,
        "stride_h": node.attrs["strides"][0],
        "stride_w": node.attrs["strides"][1],
        "dilation_h": node.attrs["dilations"][0],
        "dilation_w": node.attrs["dilations"][1],
        "pad_top": node.attrs["pads"][0],
        "pad_left": node.attrs["pads"][1],
    }


class DepthwiseConv2DFloat32(Conv2DFloat32):
    name = "depthwise_conv2d_float32"
    ops = ("depthwise_conv2d",)
    template = "depthwise_conv2d_float"

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        y = graph.type(node.outputs[0])
        return (12.0 * math.prod(graph.type(node.inputs[1]).shape[1:3]) + 40.0) * y.elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return (window_row_access(node, graph, graph.type(node.inputs[1]).shape[1]), None, None)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        fields = {**weighted_fields(node, graph, tables, layer), **depthwise_fields(node, graph)}
        return [Call(fields, (node.inputs[0],), node.outputs[0], rows=graph.type(node.outputs[0]).shape[1])]


class DepthwiseConv2DFloat16(DepthwiseConv2DFloat32):
    name = "depthwise_conv2d_float16"
    context = {"weight": "float16", "ctype": "uint16_t"}
    stored = DType.FLOAT16
