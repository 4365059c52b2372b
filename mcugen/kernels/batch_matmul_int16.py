"""batch_matmul of int16 in plain C for every core: sums of 64 bits, four columns at a time, no scratch, row range."""

from __future__ import annotations

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.fixed import reduced_multiplier
from mcugen.ir import DType, Graph, Node
from mcugen.kernels.batch_matmul_portable import product_access, product_fields, reject_loops
from mcugen.kernels.kernel import Call, Kernel, Tables, Value
from mcugen.ops.batch_matmul import matrices
from mcugen.ops.conv2d import output_range, requantization


class BatchMatMulInt16(Kernel):
    name = "batch_matmul_int16"
    ops = ("batch_matmul",)
    types = ((DType.INT16, DType.INT16),)
    limits = ("at most 5 nested loops over matrices after merging axes",)
    headers = ("mcugen_broadcast.h", "mcugen_int16.h", "mcugen_wide.h")

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        return reject_loops(node, graph)

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        _, depth, _ = matrices(node, *(graph.type(i).shape for i in node.inputs))
        return (9.0 * depth + 60.0) * graph.type(node.outputs[0]).elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return product_access(node, graph)

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        _, depth, _ = matrices(node, *(graph.type(i).shape for i in node.inputs))
        return (f"|accumulator| <= {depth << 30:,}, from the number of products",)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        y = graph.type(node.outputs[0])
        multiplier, shift = requantization(node, graph)
        lo, hi = output_range(node, graph)
        fields: dict[str, Value] = {
            **product_fields(node, graph),
            "multiplier": int(reduced_multiplier(multiplier)[0]),
            "right": 15 - int(shift[0]),
            "lo": lo,
            "hi": hi,
        }
        return [Call(fields, node.inputs, node.outputs[0], rows=y.elements // y.shape[-1])]
