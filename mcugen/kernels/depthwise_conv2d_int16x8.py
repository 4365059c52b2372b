"""depthwise_conv2d of int16 activations by int8 weights in plain C for every core: four channels at a time, no scratch,
row range."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import DType, Graph, Node
from mcugen.kernels.conv2d_int16x8 import int16_output, reject_int16, variant_int16
from mcugen.kernels.conv2d_portable import accumulator_bound
from mcugen.kernels.depthwise_conv2d_portable import depthwise_fields
from mcugen.kernels.kernel import Call, Kernel, Tables, Value, window_row_access


class DepthwiseConv2DInt16x8(Kernel):
    name = "depthwise_conv2d_int16x8"
    ops = ("depthwise_conv2d",)
    types = ((DType.INT16, DType.INT16),)
    limits = ("sums that fit 48 bits, proved from the weights; 32 where the bias is int32",)
    headers = ("mcugen_output_int16.h", "mcugen_int16.h", "mcugen_wide.h", "mcugen_window.h")

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        return reject_int16(node, graph)

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        y = graph.type(node.outputs[0])
        return (10.0 * math.prod(graph.type(node.inputs[1]).shape[1:3]) + 70.0) * y.elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return (window_row_access(node, graph, graph.type(node.inputs[1]).shape[1]), None, None)

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (f"|accumulator| <= {accumulator_bound(node, graph):,}, proved from the weights",)

    def variant(self, node: Node, graph: Graph) -> tuple[str, Mapping[str, Any]]:
        return variant_int16(self.name, node, graph)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        fields: dict[str, Value] = {
            "weights": tables.add(f"{layer}_weights", graph.constant(node.inputs[1])),
            "output": int16_output(node, graph, tables, layer, graph.constant(node.inputs[2])),
            **depthwise_fields(node, graph),
        }
        rows = graph.type(node.outputs[0]).shape[1]
        return [Call(fields, (node.inputs[0],), node.outputs[0], rows=rows)]
