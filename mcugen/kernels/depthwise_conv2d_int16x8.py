"""depthwise_conv2d of int16 activations by int8 weights in plain C for every core: four channels at a time, no scratch,
row range."""

from __future__ import annotations

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import Graph, Node
from mcugen.kernels.conv2d_int16x8 import Conv2DInt16x8, weighted_int16_fields
from mcugen.kernels.conv2d_portable import taps_inside
from mcugen.kernels.depthwise_conv2d_portable import depthwise_fields
from mcugen.kernels.kernel import Call, Tables, window_row_access


class DepthwiseConv2DInt16x8(Conv2DInt16x8):
    name = "depthwise_conv2d_int16x8"
    ops = ("depthwise_conv2d",)

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        """As measured on the Cortex-M4 (per pixel, block of four channels, row of the kernel, tap)."""
        _, height, width, channels = graph.type(node.outputs[0]).shape
        steps = (node.attrs["strides"], node.attrs["dilations"], node.attrs["pads"][:2])
        shapes = (graph.type(i).shape[1:3] for i in (*node.inputs[:2], node.outputs[0]))
        rows, columns = (taps_inside(*axis) for axis in zip(*shapes, *steps, strict=True))
        single = channels != graph.type(node.inputs[0]).shape[3]  # one channel at a time
        blocks = channels if single else -(-channels // 4)
        block = (90.0 if single else 312.0) * height * width + 18.0 * rows * width
        return 200.0 * height * width + (block + (12.0 if single else 22.0) * rows * columns) * blocks

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return (window_row_access(node, graph, graph.type(node.inputs[1]).shape[1]), None, None)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        fields = {**weighted_int16_fields(node, graph, tables, layer), **depthwise_fields(node, graph)}
        rows = graph.type(node.outputs[0]).shape[1]
        return [Call(fields, (node.inputs[0],), node.outputs[0], rows=rows)]
