"""softmax, log_softmax and l2_norm in float32 for every core: three or two passes over each row; in place."""

from __future__ import annotations

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import DType, Graph, Node
from mcugen.kernels.kernel import Call, Kernel, Tables, Value
from mcugen.kernels.softmax_portable import softmax_access


class SoftmaxFloat(Kernel):
    name = "softmax_float"
    ops = ("softmax",)
    types = ((DType.FLOAT32, DType.FLOAT32),)
    headers = ("mcugen_float.h", "mcugen_float_math.h", "mcugen_wide.h")

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        return 100.0 * graph.type(node.outputs[0]).elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        x = graph.type(node.inputs[0])
        return (softmax_access(x.elements // x.shape[-1], x.shape[-1], x.dtype.size),)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        x = graph.type(node.inputs[0])
        fields: dict[str, Value] = {"rows": x.elements // x.shape[-1], "depth": x.shape[-1]}
        if "beta" in node.attrs:
            fields["beta"] = float(node.attrs["beta"])
        return [Call(fields, node.inputs, node.outputs[0])]


class LogSoftmaxFloat(SoftmaxFloat):
    name = "log_softmax_float"
    ops = ("log_softmax",)


class L2NormFloat(SoftmaxFloat):
    name = "l2_norm_float"
    ops = ("l2_norm",)

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        y = graph.type(node.outputs[0])
        return 30.0 * y.elements + 200.0 * y.elements / y.shape[-1]
