"""Operators of two int16 operands for the DSP extension, two elements at a time, with broadcasting; in place over an
operand of the output's size.

SMMLAR(2 x, M, half) is the rounded product plus a half; minus one where x is negative, it is shifted as gemmlowp's
second rounding does it. Sums are in -2^30 .. 2^30 - 1, so twice a sum fits 32 bits; of all products only that of twice
-32768 does not: doubled, it saturates, and the result of that one is checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.fixed import INT32_MAX, mbqm
from mcugen.ir import DType, Graph, Node
from mcugen.kernels.add_linear import is_flat
from mcugen.kernels.add_portable import MAX_AXES, binary_access, loop_fields, node_loops
from mcugen.kernels.elementwise_int16 import FUNCTIONS
from mcugen.kernels.kernel import Call, Kernel, Tables, Value
from mcugen.ops.add import multipliers
from mcugen.ops.mul import multiplier
from mcugen.ops.op import activation_limits

HALF = (1 << 30, 0)  # multiplier and shift of an operand that has the larger scale
MOST_RIGHT = 30  # of an output's shift: a half is added to a product below 2^30
INT16 = (-32768, 32767)
CYCLES = {"add": 15.0, "sub": 15.0, "mul": 9.0, "minimum": 5.0, "maximum": 5.0}


def rescalings(node: Node, graph: Graph) -> dict[str, tuple[int, int]]:
    """Multiplier and shift of the operands that are not simply halved, and of the output."""
    if node.op == "mul":
        return {"y": multiplier(node, graph)}
    if node.op not in ("add", "sub"):
        return {}
    named = dict(zip(("a", "b", "y"), multipliers(node, graph), strict=True))
    return {name: scaling for name, scaling in named.items() if name == "y" or scaling != HALF}


def saturates_alike(factor: int, shift: int, lo: int, hi: int) -> bool:
    """Whether the product of twice -32768 gives the same output as what its double saturates to."""
    wanted = int(np.clip(mbqm(1 << 30, factor, shift), lo, hi))
    scaled = (INT32_MAX * factor + (1 << 31) >> 32) + (1 << (-shift - 1))
    return max(lo, min(scaled >> -shift, hi)) == wanted


class ElementwiseInt16Dsp(Kernel):
    name = "elementwise_int16_dsp"
    ops = tuple(FUNCTIONS)
    types = ((DType.INT16, DType.INT16),)
    headers = ("mcugen_broadcast.h", "mcugen_dsp.h", "mcugen_bytes_dsp.h")
    limits = (
        "at most 6 nested loops after merging axes",
        "an innermost loop of at least 2 elements in which no operand is broadcast",
        "an output scale that divides sums or products by more than 2, at most 2^31",
    )

    def serves(self, board: Board) -> bool:
        return board.isa.dsp

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        loops = node_loops(node, graph)
        if len(loops) > MAX_AXES:
            return f"broadcasting needs more than {MAX_AXES} nested loops"
        length, *steps = loops[-1]
        if length < 2 or steps != [1, 1]:
            return f"not {self.limits[1]}"
        scalings = rescalings(node, graph)
        for name, (_, shift) in scalings.items():
            if not -(MOST_RIGHT if name == "y" else 31) <= shift <= -1:
                return f"its scales shift {name} by {shift} bits"
        lo, hi = activation_limits(node, graph.type(node.outputs[0]))
        if node.op == "mul" and not saturates_alike(*scalings["y"], lo, hi):
            return "the largest product does not saturate"
        return None

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        return CYCLES[node.op] * graph.type(node.outputs[0]).elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return binary_access(node, graph)

    def variant(self, node: Node, graph: Graph) -> tuple[str, Mapping[str, Any]]:
        rescaled = list(rescalings(node, graph))
        halves = [name for name in ("a", "b") if name not in rescaled] if len(rescaled) > 0 else []
        flat = is_flat(node, graph)
        clamped = bool(rescaled) and activation_limits(node, graph.type(node.outputs[0])) != INT16
        function = FUNCTIONS[node.op]
        kind = f"_half_{''.join(halves)}" if node.op in ("add", "sub") else ""
        name = f"{self.name}_{function}{kind}{'' if flat else '_broadcast'}{'_clamp' if clamped else ''}"
        context = {
            "function": function,
            "rescaled": rescaled,
            "halves": halves,
            "flat": flat,
            "clamped": clamped,
        }
        return name, context

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return ("|sum or product| <= 2^30, from the operands' type",) if rescalings(node, graph) else ()

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        loops = loop_fields(node, graph)
        fields: dict[str, Value] = {"length": loops["length"]} if is_flat(node, graph) else loops
        for name, (factor, shift) in rescalings(node, graph).items():
            fields[f"{name}_multiplier"] = factor
            fields[f"{name}_rounding"] = 1 << (-shift - 1)
            fields[f"{name}_shift"] = -shift
        if rescalings(node, graph):
            fields["lo"], fields["hi"] = activation_limits(node, graph.type(node.outputs[0]))
        return [Call(fields, node.inputs, node.outputs[0])]
