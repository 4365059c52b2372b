"""Functions of one int16 that are two straight lines: clamps, leaky_relu, abs; for every core, in place."""

from __future__ import annotations

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import DType, Graph, Node
from mcugen.kernels.kernel import Call, Kernel, Tables, Value, elementwise_access
from mcugen.ops.unary16 import slopes


class SlopesInt16(Kernel):
    name = "slopes_int16"
    ops = ("unary",)
    types = ((DType.INT16, DType.INT16),)
    headers = ("mcugen_wide.h",)
    limits = ("clip, leaky_relu and abs",)

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        return "the function is not two straight lines" if slopes(node, graph) is None else None

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        return 30.0 * graph.type(node.outputs[0]).elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return (elementwise_access(graph.type(node.outputs[0]).elements, 2, 2),)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        lines = slopes(node, graph)
        assert lines is not None
        fields: dict[str, Value] = {
            "elements": graph.type(node.outputs[0]).elements,
            "multiplier": lines.positive[0],
            "shift": lines.positive[1],
            "negative_multiplier": lines.negative[0],
            "negative_shift": lines.negative[1],
            "sign": lines.sign,
            "fold": int(lines.fold),
            "lo": lines.lo,
            "hi": lines.hi,
        }
        return [Call(fields, node.inputs, node.outputs[0])]
