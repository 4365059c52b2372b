"""prelu in plain C for every core, slopes broadcast; in place."""

from __future__ import annotations

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import Graph, Node
from mcugen.kernels.add_portable import binary_access, broadcast_fields, reject_binary
from mcugen.kernels.kernel import Call, Kernel, Tables
from mcugen.ops.prelu import multipliers


class PReluPortable(Kernel):
    name = "prelu_portable"
    ops = ("prelu",)
    limits = ("at most 6 nested loops after merging axes",)
    headers = ("mcugen_broadcast.h",)

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        return reject_binary(node, graph, 0, 0)

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        return 35.0 * graph.type(node.outputs[0]).elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return binary_access(node, graph)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        fields = broadcast_fields(node, graph)
        identity, slopes = multipliers(node, graph)
        fields["multiplier"], fields["shift"] = identity
        fields["slope_multiplier"], fields["slope_shift"] = slopes
        return [Call(fields, node.inputs, node.outputs[0])]
