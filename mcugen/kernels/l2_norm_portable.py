"""l2_norm in plain C for every core: two passes over each row; in place."""

from __future__ import annotations

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import Graph, Node
from mcugen.kernels.kernel import Call, Kernel, Tables
from mcugen.kernels.softmax_portable import softmax_access


class L2NormPortable(Kernel):
    name = "l2_norm_portable"
    ops = ("l2_norm",)
    headers = ("mcugen_inverse_sqrt.h",)

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        y = graph.type(node.outputs[0])
        return 30.0 * y.elements + 300.0 * y.elements / y.shape[-1]

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        x = graph.type(node.inputs[0])
        return (softmax_access(x.elements // x.shape[-1], x.shape[-1]),)

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        x = graph.type(node.inputs[0])
        reach = max(127 - x.zero_point, 128 + x.zero_point)
        return (f"sum of squares <= {x.shape[-1] * reach * reach:,}, from the number of elements",)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        x = graph.type(node.inputs[0])
        fields = {"rows": x.elements // x.shape[-1], "depth": x.shape[-1], "x_offset": -x.zero_point}
        return [Call(fields, node.inputs, node.outputs[0])]
