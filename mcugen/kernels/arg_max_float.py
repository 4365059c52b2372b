"""arg_max and arg_min of float32 for every core: one index after the other, no scratch, works in place."""

from __future__ import annotations

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import DType, Graph, Node
from mcugen.kernels.kernel import Call, Kernel, Tables, Value
from mcugen.kernels.mean_portable import reduction_access, reduction_fields


class ArgMaxFloat(Kernel):
    name = "arg_max_float"
    ops = ("arg_max",)
    types = ((DType.FLOAT32, DType.INT32),)
    headers = ("mcugen_float.h", "mcugen_wide.h")
    template = "arg_max_float"
    context = {"what": "largest", "better": ">"}

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        return 10.0 * graph.type(node.inputs[0]).elements + 30.0 * graph.type(node.outputs[0]).elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return (reduction_access(node, graph),)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        fields: dict[str, Value] = {**reduction_fields(node, graph), "last": int(node.attrs["last"])}
        return [Call(fields, (node.inputs[0],), node.outputs[0])]


class ArgMinFloat(ArgMaxFloat):
    name = "arg_min_float"
    ops = ("arg_min",)
    context = {"what": "smallest", "better": "<"}
