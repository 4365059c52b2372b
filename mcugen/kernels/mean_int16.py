"""mean and sum of int16 in plain C for every core: one output element at a time, no scratch, works in place."""

from __future__ import annotations

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import DType, Graph, Node
from mcugen.kernels.kernel import Call, Kernel, Tables, Value
from mcugen.kernels.mean_portable import reduction_access, reduction_fields
from mcugen.ops.mean import mean_multiplier, outer_reduced_inner

ELEMENTS = 65535  # of int16 whose sum fits int32


class MeanInt16(Kernel):
    name = "mean_int16"
    ops = ("mean", "sum")
    types = ((DType.INT16, DType.INT16),)
    headers = ("mcugen_int16.h", "mcugen_wide.h")
    limits = (f"at most {ELEMENTS:,} elements in a sum",)

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        count = outer_reduced_inner(node, graph)[1]
        return f"a sum of {count:,} int16 may leave int32" if count > ELEMENTS else None

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        return 5.0 * graph.type(node.inputs[0]).elements + 60.0 * graph.type(node.outputs[0]).elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return (reduction_access(node, graph),)

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (f"|accumulator| <= {outer_reduced_inner(node, graph)[1] * 32768:,}",)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        fields: dict[str, Value] = reduction_fields(node, graph)
        fields["multiplier"], fields["shift"] = mean_multiplier(node, graph)
        return [Call(fields, (node.inputs[0],), node.outputs[0])]
