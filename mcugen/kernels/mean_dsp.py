"""mean and sum for the DSP extension: sums of four or eight outputs in halves of words, no scratch, works in place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import Graph, Node
from mcugen.kernels.kernel import Call, Kernel, Tables, Value
from mcugen.kernels.mean_portable import reduction_access, reduction_fields
from mcugen.kernels.output_dsp import MOST_RIGHT
from mcugen.ops.mean import mean_multiplier, outer_reduced_inner

MOST_REDUCED = 256  # int8 values whose sum fits int16


class MeanDsp(Kernel):
    name = "mean_dsp"
    ops = ("mean", "sum")
    limits = (
        "inner axes of a multiple of 4 elements, at most 256 of which each output is made",
        "an output scale that divides sums by more than 2, at most 2^23",
    )
    headers = ("mcugen_dsp.h", "mcugen_output_dsp.h")

    def serves(self, board: Board) -> bool:
        return board.isa.dsp

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        _, reduced, inner = outer_reduced_inner(node, graph)
        if inner % 4:
            return "the inner axes have no multiple of 4 elements"
        if reduced > MOST_REDUCED:
            return f"more than {MOST_REDUCED} elements make one output"
        # |sum (x - zx)| <= 256 * 255 < 2^30
        shift = mean_multiplier(node, graph)[1]
        return None if -MOST_RIGHT <= shift <= -1 else f"its scales shift sums by {shift} bits"

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        return 1.6 * graph.type(node.inputs[0]).elements + 14.0 * graph.type(node.outputs[0]).elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return (reduction_access(node, graph),)

    def variant(self, node: Node, graph: Graph) -> tuple[str, Mapping[str, Any]]:
        wide = outer_reduced_inner(node, graph)[2] % 8 == 0
        return self.name + ("" if wide else "_narrow"), {"words": 2 if wide else 1}

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (f"|sum of x| <= {128 * outer_reduced_inner(node, graph)[1]:,}",)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        multiplier, shift = mean_multiplier(node, graph)
        fields: dict[str, Value] = {
            **reduction_fields(node, graph),
            "offset": -outer_reduced_inner(node, graph)[1] * graph.type(node.inputs[0]).zero_point,
            "multiplier": multiplier,
            "shift": shift,
            "rounding": 2 * graph.type(node.outputs[0]).zero_point + 1,
        }
        return [Call(fields, (node.inputs[0],), node.outputs[0])]
