"""minimum and maximum in plain C for every core, with broadcasting; in place over an operand of the output's shape."""

from __future__ import annotations

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import Graph, Node
from mcugen.kernels.add_portable import binary_access, loop_fields, reject_binary
from mcugen.kernels.kernel import Call, Kernel, Tables


class MinimumMaximumPortable(Kernel):
    name = "minimum_maximum_portable"
    ops = ("minimum", "maximum")
    limits = ("at most 6 nested loops after merging axes",)
    headers = ("mcugen_broadcast.h",)

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        return reject_binary(node, graph, 0, 0)

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        return 10.0 * graph.type(node.outputs[0]).elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return binary_access(node, graph)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        fields = {**loop_fields(node, graph), "sign": 1 if node.op == "maximum" else -1}
        return [Call(fields, node.inputs, node.outputs[0])]
