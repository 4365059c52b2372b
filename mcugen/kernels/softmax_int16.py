"""softmax of int16 in plain C for every core: four passes over each row, two tables of 513 entries; in place."""

from __future__ import annotations

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.fixed16 import softmax_int16_params, softmax_tables
from mcugen.ir import DType, Graph, Node
from mcugen.kernels.kernel import Call, Kernel, Tables, Value
from mcugen.kernels.softmax_portable import softmax_access
from mcugen.ops.softmax import DEPTH_LIMIT


class SoftmaxInt16(Kernel):
    name = "softmax_int16"
    ops = ("softmax",)
    types = ((DType.INT16, DType.INT16),)
    headers = ("mcugen_int16.h", "mcugen_wide.h")
    limits = ("fewer than 4,096 elements along the axis",)

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        depth = graph.type(node.inputs[0]).shape[-1]
        return f"{depth} elements are too many for one sum" if depth >= DEPTH_LIMIT else None

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        return 90.0 * graph.type(node.outputs[0]).elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        x = graph.type(node.inputs[0])
        return (softmax_access(x.elements // x.shape[-1], x.shape[-1], x.dtype.size),)

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        depth = graph.type(node.inputs[0]).shape[-1]
        return (f"sum of exponentials <= {depth} in Q16.15, from the number of elements",)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        x, (exps, ones) = graph.type(node.inputs[0]), softmax_tables()
        multiplier, shift = softmax_int16_params(node.attrs["beta"], x.scale)
        fields: dict[str, Value] = {
            "exponential": tables.add(f"{layer}_exponential", exps),
            "reciprocal": tables.add(f"{layer}_reciprocal", ones),
            "rows": x.elements // x.shape[-1],
            "depth": x.shape[-1],
            "multiplier": multiplier,
            "shift": shift,
        }
        return [Call(fields, node.inputs, node.outputs[0])]
