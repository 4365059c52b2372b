"""depthwise_conv2d of float32 activations and int8 weights for every core: as conv2d_dynamic."""

from __future__ import annotations

import math

from mcugen.boards import Board
from mcugen.ir import Graph, Node
from mcugen.kernels.conv2d_dynamic import Conv2DDynamic, weight_fields
from mcugen.kernels.depthwise_conv2d_float import depthwise_fields
from mcugen.kernels.kernel import Call, Tables


class DepthwiseConv2DDynamic(Conv2DDynamic):
    name = "depthwise_conv2d_dynamic"
    ops = ("depthwise_conv2d",)
    headers = ("mcugen_dynamic.h", "mcugen_float.h", "mcugen_wide.h", "mcugen_window.h")

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        products = math.prod(graph.type(node.inputs[1]).shape[1:3])
        quantizing = 40.0 * graph.type(node.inputs[0]).elements
        return quantizing + (10.0 * products + 60.0) * graph.type(node.outputs[0]).elements

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        fields = {
            **weight_fields(node, graph, tables, layer),
            "y_height": graph.type(node.outputs[0]).shape[1],
            **depthwise_fields(node, graph),
        }
        return [Call(fields, (node.inputs[0],), node.outputs[0])]
