"""Operators of two int16 operands for every core: one C function per operator, with broadcasting; in place over an
operand of the output's shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import DType, Graph, Node
from mcugen.kernels.add_portable import binary_access, loop_fields, reject_binary, sum_bound
from mcugen.kernels.kernel import Call, Kernel, Tables, Value
from mcugen.ops.add import multipliers
from mcugen.ops.mul import multiplier
from mcugen.ops.op import activation_limits

FUNCTIONS = {"add": "add", "sub": "sub", "mul": "mul", "minimum": "min", "maximum": "max"}
PRODUCT_BOUND = 1 << 30


class ElementwiseInt16(Kernel):
    name = "elementwise_int16"
    ops = tuple(FUNCTIONS)
    types = ((DType.INT16, DType.INT16),)
    headers = ("mcugen_broadcast.h", "mcugen_int16.h", "mcugen_wide.h")
    limits = (
        "at most 6 nested loops after merging axes",
        "no output scale so far below the operands' that sum or product leaves 32 bits",
    )

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        bound, shift = 0, 0
        if node.op == "mul":
            bound, shift = PRODUCT_BOUND, multiplier(node, graph)[1]
        elif node.op in ("add", "sub"):
            bound, shift = sum_bound(node, graph), multipliers(node, graph)[2][1]
        return reject_binary(node, graph, bound, shift)

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        each = {"mul": 35.0, "minimum": 12.0, "maximum": 12.0}.get(node.op, 60.0)
        return each * graph.type(node.outputs[0]).elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return binary_access(node, graph)

    def variant(self, node: Node, graph: Graph) -> tuple[str, Mapping[str, Any]]:
        function = FUNCTIONS[node.op]
        return f"{self.name}_{function}", {"function": function}

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        fields: dict[str, Value] = loop_fields(node, graph)
        if node.op in ("add", "sub"):
            a, b, y = multipliers(node, graph)
            fields |= {"a_multiplier": a[0], "a_shift": a[1], "b_multiplier": b[0], "b_shift": b[1]}
            fields["multiplier"], fields["shift"] = y
        elif node.op == "mul":
            fields["multiplier"], fields["shift"] = multiplier(node, graph)
        if node.op in ("add", "sub", "mul"):
            fields["lo"], fields["hi"] = activation_limits(node, graph.type(node.outputs[0]))
        return [Call(fields, node.inputs, node.outputs[0])]
