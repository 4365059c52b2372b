"""arg_max and arg_min in plain C for every core: one index after the other, no scratch."""

from __future__ import annotations

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import DType, Graph, Node
from mcugen.kernels.kernel import Call, Kernel, Tables, Value
from mcugen.kernels.mean_portable import reduction_access, reduction_fields


class ArgMaxPortable(Kernel):
    name = "arg_max_portable"
    ops = ("arg_max", "arg_min")
    types = ((DType.INT8, DType.INT32),)
    headers = ("mcugen_wide.h",)

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        return 8.0 * graph.type(node.inputs[0]).elements + 30.0 * graph.type(node.outputs[0]).elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return (reduction_access(node, graph),)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        fields: dict[str, Value] = {
            **reduction_fields(node, graph),
            "flip": -1 if node.op == "arg_min" else 0,
            "last": int(node.attrs["last"]),
        }
        return [Call(fields, (node.inputs[0],), node.outputs[0])]
