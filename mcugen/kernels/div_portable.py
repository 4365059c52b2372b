"""div in plain C for every core, with broadcasting; in place over an operand of the output's shape."""

from __future__ import annotations

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import Graph, Node
from mcugen.kernels.add_portable import binary_access, broadcast_fields, reject_binary
from mcugen.kernels.kernel import Call, Kernel, Tables
from mcugen.ops.div import multiplier


class DivPortable(Kernel):
    name = "div_portable"
    ops = ("div",)
    limits = ("at most 6 nested loops after merging axes",)
    headers = ("mcugen_broadcast.h",)

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        return reject_binary(node, graph, 0, 0)

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        return 180.0 * graph.type(node.outputs[0]).elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return binary_access(node, graph)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        fields = broadcast_fields(node, graph)
        fields["multiplier"], fields["shift"] = multiplier(node, graph)
        return [Call(fields, node.inputs, node.outputs[0])]
