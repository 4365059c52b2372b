"""Any function of one int8 as a table of 256 bytes, for every core; in place."""

from __future__ import annotations

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import Graph, Node
from mcugen.kernels.kernel import Call, Kernel, Tables, Value, elementwise_access
from mcugen.ops import requantize, unary

TABLES = {"unary": unary.table, "requantize": requantize.table}


class TablePortable(Kernel):
    name = "table_portable"
    ops = tuple(TABLES)

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        return 7.0 * graph.type(node.outputs[0]).elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return (elementwise_access(graph.type(node.outputs[0]).elements),)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        fields: dict[str, Value] = {
            "table": tables.add(f"{layer}_table", TABLES[node.op](node, graph)),
            "elements": graph.type(node.outputs[0]).elements,
        }
        return [Call(fields, node.inputs, node.outputs[0])]
