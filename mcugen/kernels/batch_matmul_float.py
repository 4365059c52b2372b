"""batch_matmul in float32 for every core: four columns at a time, no scratch, row range."""

from __future__ import annotations

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import DType, Graph, Node
from mcugen.kernels.batch_matmul_portable import (
    BatchMatMulPortable,
    product_access,
    product_fields,
    reject_loops,
)
from mcugen.kernels.kernel import Call, Kernel, Tables, Value
from mcugen.ops.batch_matmul import matrices
from mcugen.ops.op import clamp_of


class BatchMatMulFloat(Kernel):
    name = "batch_matmul_float"
    ops = ("batch_matmul",)
    types = ((DType.FLOAT32, DType.FLOAT32),)
    headers = ("mcugen_broadcast.h", "mcugen_float.h", "mcugen_wide.h")
    limits = BatchMatMulPortable.limits

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        wrong = [graph.type(i).dtype for i in node.inputs if graph.type(i).dtype is not DType.FLOAT32]
        return f"an operand of {wrong[0]} elements" if wrong else reject_loops(node, graph)

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        _, depth, _ = matrices(node, *(graph.type(i).shape for i in node.inputs))
        return (10.0 * depth + 50.0) * graph.type(node.outputs[0]).elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return product_access(node, graph)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        lo, hi = clamp_of(node)
        y = graph.type(node.outputs[0])
        fields: dict[str, Value] = {**product_fields(node, graph), "lo": lo, "hi": hi}
        return [Call(fields, node.inputs, node.outputs[0], rows=y.elements // y.shape[-1])]
