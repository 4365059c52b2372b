"""reduce_max and reduce_min in plain C for every core: one output element at a time, no scratch, works in place."""

from __future__ import annotations

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import Graph, Node
from mcugen.kernels.kernel import Call, Kernel, Tables, Value
from mcugen.kernels.mean_portable import reduction_access, reduction_fields


class ReducePortable(Kernel):
    name = "reduce_portable"
    ops = ("reduce_max", "reduce_min")

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        return 7.0 * graph.type(node.inputs[0]).elements + 25.0 * graph.type(node.outputs[0]).elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return (reduction_access(node, graph),)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        fields: dict[str, Value] = {
            **reduction_fields(node, graph),
            "flip": -1 if node.op == "reduce_min" else 0,
        }
        return [Call(fields, (node.inputs[0],), node.outputs[0])]
