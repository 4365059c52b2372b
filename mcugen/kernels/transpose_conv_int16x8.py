"""transpose_conv of int16 activations by int8 weights in plain C for every core: outputs gather, four channels at a
time, no scratch, row range."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import DType, Graph, Node
from mcugen.kernels.conv2d_int16x8 import int16_output, reject_int16, variant_int16
from mcugen.kernels.conv2d_portable import accumulator_bound
from mcugen.kernels.kernel import Call, Kernel, Tables, Value
from mcugen.kernels.transpose_conv_portable import transpose_conv_access, transpose_conv_fields
from mcugen.ops import OPS


class TransposeConvInt16x8(Kernel):
    name = "transpose_conv_int16x8"
    ops = ("transpose_conv",)
    types = ((DType.INT16, DType.INT16),)
    limits = ("sums that fit 48 bits, proved from the weights",)
    headers = ("mcugen_output_int16.h", "mcugen_int16.h", "mcugen_wide.h", "mcugen_window.h")

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        return reject_int16(node, graph)

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        return 5.0 * OPS[node.op].macs(node, graph) + 70.0 * graph.type(node.outputs[0]).elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return transpose_conv_access(node, graph)

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (f"|accumulator| <= {accumulator_bound(node, graph):,}, proved from the weights",)

    def variant(self, node: Node, graph: Graph) -> tuple[str, Mapping[str, Any]]:
        return variant_int16(self.name, node, graph)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        fields: dict[str, Value] = {
            "weights": tables.add(f"{layer}_weights", graph.constant(node.inputs[1])),
            "output": int16_output(node, graph, tables, layer, graph.constant(node.inputs[2])),
            **transpose_conv_fields(node, graph),
        }
        rows = graph.type(node.outputs[0]).shape[1]
        return [Call(fields, (node.inputs[0],), node.outputs[0], rows=rows)]
