"""squared_difference in plain C for every core, with broadcasting; in place over an operand of the output's shape."""

from __future__ import annotations

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import Graph, Node
from mcugen.kernels.add_portable import binary_access, broadcast_fields, reject_binary
from mcugen.kernels.kernel import Call, Kernel, Tables
from mcugen.ops.squared_difference import LEFT_SHIFT, multipliers

# Either operand is rescaled to at most half of 255 << LEFT_SHIFT, rounded.
SQUARE_BOUND = (2 * ((255 << LEFT_SHIFT) // 2 + 1)) ** 2


class SquaredDifferencePortable(Kernel):
    name = "squared_difference_portable"
    ops = ("squared_difference",)
    limits = ("at most 6 nested loops after merging axes",)
    headers = ("mcugen_broadcast.h",)

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        return reject_binary(node, graph, SQUARE_BOUND, 0)

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        return 65.0 * graph.type(node.outputs[0]).elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return binary_access(node, graph)

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (f"square <= {SQUARE_BOUND:,}, from the operands' type",)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        fields = broadcast_fields(node, graph)
        for operand, (multiplier, shift) in zip(("a", "b", "y"), multipliers(node, graph), strict=True):
            fields[f"{operand}_multiplier"] = multiplier
            fields[f"{operand}_shift"] = shift
        return [Call(fields, node.inputs, node.outputs[0])]
