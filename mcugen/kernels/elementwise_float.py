"""Operators of two float32 operands for every core: one C function per operator, with broadcasting; in place over an
operand of the output's shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import DType, Graph, Node
from mcugen.kernels.add_portable import binary_access, loop_fields, reject_binary
from mcugen.kernels.kernel import Call, Kernel, Tables
from mcugen.ops.op import clamp_of

FUNCTIONS = {  # of runtime_c/mcugen_float_math.h
    **{op: op for op in ("add", "sub", "mul", "div", "squared_difference", "prelu")},
    "minimum": "min",
    "maximum": "max",
}


class ElementwiseFloat(Kernel):
    name = "elementwise_float"
    ops = tuple(FUNCTIONS)
    types = ((DType.FLOAT32, DType.FLOAT32),)
    headers = ("mcugen_broadcast.h", "mcugen_float.h", "mcugen_float_math.h", "mcugen_wide.h")

    limits = ("at most 6 nested loops after merging axes",)

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        return reject_binary(node, graph, 0, 0)

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        return (25.0 if node.op == "div" else 12.0) * graph.type(node.outputs[0]).elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return binary_access(node, graph)

    def variant(self, node: Node, graph: Graph) -> tuple[str, Mapping[str, Any]]:
        function = FUNCTIONS[node.op]
        return f"{self.name}_{function}", {"function": function}

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        lo, hi = clamp_of(node)
        fields = {**loop_fields(node, graph), "lo": lo, "hi": hi}
        return [Call(fields, node.inputs, node.outputs[0])]
