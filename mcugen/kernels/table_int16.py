"""Any continuous function of one int16 as a table of 513 entries with interpolation, for every core; in place."""

from __future__ import annotations

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import DType, Graph, Node
from mcugen.kernels.kernel import Call, Kernel, Tables, Value, elementwise_access
from mcugen.ops.unary16 import JUMPING, jumps, slopes, squashing, table16


class TableInt16(Kernel):
    name = "table_int16"
    ops = ("unary",)
    types = ((DType.INT16, DType.INT16),)
    headers = ("mcugen_int16.h", "mcugen_wide.h")
    limits = (f"no functions that jump ({', '.join(JUMPING)})",)

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        if squashing(node, graph) is not None or slopes(node, graph) is not None:
            return "the function is no table"
        if jumps(node.attrs["function"]):
            return "the function jumps between the entries of a table of int16"
        return None

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        return 20.0 * graph.type(node.outputs[0]).elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return (elementwise_access(graph.type(node.outputs[0]).elements, 2, 2),)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        fields: dict[str, Value] = {
            "table": tables.add(f"{layer}_table", table16(node, graph)),
            "elements": graph.type(node.outputs[0]).elements,
        }
        return [Call(fields, node.inputs, node.outputs[0])]
