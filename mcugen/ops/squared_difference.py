"""squared_difference: (a [...] - b [...])^2 -> y [...], broadcast as in numpy; one of them may be constant.

All operands have the output's rank. Attribute: clamp (lo, hi). Integer form, TFLM's SQUARED_DIFFERENCE (LiteRT
micro/kernels/squared_difference.cc), multipliers in double: with t = 2 max(s_a, s_b) and
d = MBQM((a - z_a) << 7, s_a / t) - MBQM((b - z_b) << 7, s_b / t), y = clamp(MBQM(d^2, t^2 / (2^14 s_y)) + z_y).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mcugen.fixed import mbqm, quantize_multiplier, saturating_mbqm
from mcugen.float_math import apply
from mcugen.ir import Array, Graph, Node, TensorType
from mcugen.ops.add import broadcast_type, import_tflite_binary, keeps_batch
from mcugen.ops.conv2d import RATIO_LIMIT
from mcugen.ops.op import Op, activation_limits, clamp_array, clamp_exact, clamp_of

if TYPE_CHECKING:
    from mcugen.read.tflite_import import TfliteImporter, TfliteNode

LEFT_SHIFT = 7


def import_tflite_squared_difference(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    return import_tflite_binary(ctx, n, "squared_difference", {})


def multipliers(node: Node, graph: Graph) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """(multiplier, shift) of a and of b, both shifted left by LEFT_SHIFT, and of their difference's square."""
    a, b = (graph.type(i).scale for i in node.inputs)
    twice = 2.0 * max(a, b)
    ratio = twice * twice / ((1 << 2 * LEFT_SHIFT) * graph.type(node.outputs[0]).scale)
    return (
        quantize_multiplier(a / twice),
        quantize_multiplier(b / twice),
        quantize_multiplier(min(ratio, RATIO_LIMIT)),
    )


class SquaredDifference(Op):
    name = "squared_difference"
    tflite = {"SQUARED_DIFFERENCE": import_tflite_squared_difference}

    def infer(self, node: Node, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        return broadcast_type(inputs)

    def float_reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        return (clamp_array(np.square(xs[0] - xs[1]), clamp_of(node)),)

    def float_exact(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        return (clamp_exact(apply("squared_difference", *xs), clamp_of(node)),)

    def reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        y = graph.type(node.outputs[0])
        *each, result = multipliers(node, graph)
        a, b = (
            mbqm((x.astype(np.int64) - graph.type(name).zero_point) << LEFT_SHIFT, *multiplier)
            for x, name, multiplier in zip(xs, node.inputs, each, strict=True)
        )
        square = saturating_mbqm(np.square(a - b), *result) + y.zero_point
        return (np.clip(square, *activation_limits(node, y)).astype(np.int8),)

    def batchable(self, node: Node, graph: Graph) -> bool:
        return keeps_batch(node, graph)
