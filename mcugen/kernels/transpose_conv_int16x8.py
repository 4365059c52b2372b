"""transpose_conv of int16 activations by int8 weights in plain C for every core: outputs gather, four channels at a
time, no scratch, row range."""

from __future__ import annotations

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import Graph, Node
from mcugen.kernels.conv2d_int16x8 import Conv2DInt16x8, weighted_int16_fields
from mcugen.kernels.kernel import Call, Tables
from mcugen.kernels.transpose_conv_portable import transpose_conv_access, transpose_conv_fields
from mcugen.ops import OPS


class TransposeConvInt16x8(Conv2DInt16x8):
    name = "transpose_conv_int16x8"
    ops = ("transpose_conv",)
    limits = ("sums that fit 48 bits, proved from the weights",)

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        return 5.0 * OPS[node.op].macs(node, graph) + 70.0 * graph.type(node.outputs[0]).elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return transpose_conv_access(node, graph)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        fields = {**weighted_int16_fields(node, graph, tables, layer), **transpose_conv_fields(node, graph)}
        rows = graph.type(node.outputs[0]).shape[1]
        return [Call(fields, (node.inputs[0],), node.outputs[0], rows=rows)]
