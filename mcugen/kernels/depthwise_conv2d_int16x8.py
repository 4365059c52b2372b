"""depthwise_conv2d of int16 activations by int8 weights in plain C for every core: four channels at a time, no scratch,
row range."""

from __future__ import annotations

import math

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import Graph, Node
from mcugen.kernels.conv2d_int16x8 import Conv2DInt16x8, weighted_int16_fields
from mcugen.kernels.depthwise_conv2d_portable import depthwise_fields
from mcugen.kernels.kernel import Call, Tables, window_row_access


class DepthwiseConv2DInt16x8(Conv2DInt16x8):
    name = "depthwise_conv2d_int16x8"
    ops = ("depthwise_conv2d",)

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        y = graph.type(node.outputs[0])
        return (10.0 * math.prod(graph.type(node.inputs[1]).shape[1:3]) + 70.0) * y.elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return (window_row_access(node, graph, graph.type(node.inputs[1]).shape[1]), None, None)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        fields = {**weighted_int16_fields(node, graph, tables, layer), **depthwise_fields(node, graph)}
        rows = graph.type(node.outputs[0]).shape[1]
        return [Call(fields, (node.inputs[0],), node.outputs[0], rows=rows)]
