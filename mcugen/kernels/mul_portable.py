"""mul in plain C for every core, with broadcasting; in place over an operand of the output's shape."""

from __future__ import annotations

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import Graph, Node
from mcugen.kernels.add_portable import binary_access, broadcast_fields, reject_binary
from mcugen.kernels.kernel import Call, Kernel, Tables
from mcugen.ops.mul import multiplier

PRODUCT_BOUND = 255 * 255  # of |a - za| * |b - zb|


class MulPortable(Kernel):
    name = "mul_portable"
    ops = ("mul",)
    limits = (
        "at most 6 nested loops after merging axes",
        "no output scale so far below the operands' that the product leaves 32 bits",
    )
    headers = ("mcugen_broadcast.h",)

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        return reject_binary(node, graph, PRODUCT_BOUND, multiplier(node, graph)[1])

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        return 40.0 * graph.type(node.outputs[0]).elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return binary_access(node, graph)

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (f"|product| <= {PRODUCT_BOUND:,}, from the operands' type",)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        fields = broadcast_fields(node, graph)
        fields["multiplier"], fields["shift"] = multiplier(node, graph)
        return [Call(fields, node.inputs, node.outputs[0])]
