"""mul for the DSP extension, four bytes at a time, with broadcasting; in place over an operand of the output's size."""

from __future__ import annotations

from mcugen.ir import Graph, Node
from mcugen.kernels.add_dsp import _PairwiseDsp
from mcugen.kernels.kernel import Value
from mcugen.kernels.output_dsp import MOST_RIGHT
from mcugen.ops.mul import multiplier


class MulDsp(_PairwiseDsp):
    name = "mul_dsp"
    ops = ("mul",)
    limits = (
        "an output scale that divides products by more than 2, at most 2^23",
        "at most 6 nested loops after merging axes",
        _PairwiseDsp.steps,
    )
    each = 9.5

    def form_fields(self, node: Node, graph: Graph) -> dict[str, Value] | None:
        """Of the short requantization, exact for |product| <= 255^2 < 2^30 where the shift is to the right."""
        a, b, y = (graph.type(name) for name in (*node.inputs, node.outputs[0]))
        factor, shift = multiplier(node, graph)
        if not -MOST_RIGHT <= shift <= -1:
            return None
        return {
            "a_offset": -a.zero_point,
            "b_offset": -b.zero_point,
            "multiplier": factor,
            "rounding": (2 * y.zero_point + 1) << (-shift - 1),
            "shift": -shift,
        }
