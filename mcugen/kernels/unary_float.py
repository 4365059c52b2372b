"""unary in float32 for every core: one C function per expression, constants in its descriptor; in place."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import DType, Graph, Node
from mcugen.kernels.kernel import Call, Kernel, Tables, Value, elementwise_access
from mcugen.ops.float_program import Program, fault, program
from mcugen.ops.functions import Expression, X

# Estimated cycles of a function with a floating-point unit; 8 of one that is not named.
CYCLES = {
    **dict.fromkeys(("div", "softsign", "hard_swish"), 20.0),
    **dict.fromkeys(("exp", "elu", "selu", "celu", "log", "atan"), 60.0),
    **dict.fromkeys(("sigmoid", "silu", "tanh", "erf", "gelu", "gelu_tanh", "mish", "sin", "cos"), 90.0),
    **dict.fromkeys(("softplus",), 130.0),
    **dict.fromkeys(("sqrt", "rsqrt"), 180.0),
}


def expression_text(function: Expression) -> str:
    """An expression as a formula."""
    if function == X:
        return "x"
    if not isinstance(function, tuple):
        return f"{function:.9g}"
    return f"{function[0]}({', '.join(expression_text(a) for a in function[1:])})"


def variant_name(steps: Program) -> str:
    """The name of one step that takes x and then its constants; a digest of any other."""
    constants = tuple(f"c{i}" for i in range(len(steps.constants)))
    if len(steps.steps) == 1 and steps.steps[0][1] == ("x", *constants):
        return steps.steps[0][0]
    return hashlib.sha256(repr((constants, steps.steps, steps.result)).encode()).hexdigest()[:8]


class UnaryFloat(Kernel):
    name = "unary_float"
    ops = ("unary",)
    types = ((DType.FLOAT32, DType.FLOAT32),)
    headers = ("mcugen_float.h", "mcugen_float_math.h", "mcugen_wide.h")

    limits = ("functions and powers that mcugen_float_math.h has",)

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        return fault(node.attrs["function"])

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        steps = program(node.attrs["function"]).steps
        each = 6.0 + sum(CYCLES.get(name, 8.0) for name, _ in steps)
        return each * graph.type(node.outputs[0]).elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return (elementwise_access(graph.type(node.outputs[0]).elements, 4, 4),)

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (f"y = {expression_text(node.attrs['function'])}",)

    def variant(self, node: Node, graph: Graph) -> tuple[str, Mapping[str, Any]]:
        steps = program(node.attrs["function"])
        context = {
            "constants": len(steps.constants),
            "steps": [(name, ", ".join(operands)) for name, operands in steps.steps],
            "result": steps.result,
            "reads": "x" in (steps.result, *(o for _, operands in steps.steps for o in operands)),
        }
        return f"{self.name}_{variant_name(steps)}", context

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        fields: dict[str, Value] = {"elements": graph.type(node.outputs[0]).elements}
        constants = program(node.attrs["function"]).constants
        if constants:
            fields["constants"] = constants
        return [Call(fields, node.inputs, node.outputs[0])]
