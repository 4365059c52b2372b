"""transpose_conv in float32 for every core, with weights stored as float32 or float16."""

from __future__ import annotations

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import DType, Graph, Node
from mcugen.kernels.conv2d_float import Conv2DFloat32, weighted_fields
from mcugen.kernels.kernel import Call, Tables
from mcugen.kernels.transpose_conv_portable import transpose_conv_access, transpose_conv_fields
from mcugen.ops import OPS


class TransposeConvFloat32(Conv2DFloat32):
    name = "transpose_conv_float32"
    ops = ("transpose_conv",)
    template = "transpose_conv_float"

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        return 10.0 * OPS[node.op].macs(node, graph) + 80.0 * graph.type(node.outputs[0]).elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return transpose_conv_access(node, graph)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        fields = {**weighted_fields(node, graph, tables, layer), **transpose_conv_fields(node, graph)}
        rows = graph.type(node.outputs[0]).shape[1]
        return [Call(fields, (node.inputs[0],), node.outputs[0], rows=rows)]


class TransposeConvFloat16(TransposeConvFloat32):
    name = "transpose_conv_float16"
    context = {"weight": "float16", "ctype": "uint16_t"}
    stored = DType.FLOAT16
    limits = ("float16 weights",)
