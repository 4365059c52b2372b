"""mul: a [...] * b [...] -> y [...], broadcast as in numpy; one of them may be constant.

All operands have the output's rank. Attribute: clamp (lo, hi). Integer form, TFLM's MUL (LiteRT
kernels/internal/reference/integer_ops/mul.h), multiplier in double:
y = clamp(MBQM((a - z_a) (b - z_b), s_a s_b / s_y) + z_y).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mcugen.fixed import mbqm, quantize_multiplier
from mcugen.float_math import apply
from mcugen.ir import Array, Graph, Node, TensorType
from mcugen.ops.add import broadcast_type, check_operands, emit_binary, import_tflite_binary, keeps_batch
from mcugen.ops.op import Op, activation_limits, clamp_array, clamp_exact, clamp_of

if TYPE_CHECKING:
    from mcugen.read.onnx_import import Importer, OnnxNode


def import_mul(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    """ONNX Mul."""
    check_operands(ctx, n)
    return [emit_binary(ctx, n, "mul", n.inputs[0], n.inputs[1])]


def multiplier(node: Node, graph: Graph) -> tuple[int, int]:
    """(multiplier, shift) of the product."""
    a, b = (graph.type(i).scale for i in node.inputs)
    return quantize_multiplier(a * b / graph.type(node.outputs[0]).scale)


class Mul(Op):
    name = "mul"
    onnx = {"Mul": import_mul}
    tflite = {"MUL": lambda ctx, n: import_tflite_binary(ctx, n, "mul", {"clamp": ctx.clamp(n)})}

    def infer(self, node: Node, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        return broadcast_type(inputs)

    def float_reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        return (clamp_array(xs[0] * xs[1], clamp_of(node)),)

    def float_exact(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        return (clamp_exact(apply("mul", *xs), clamp_of(node)),)

    def reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        y = graph.type(node.outputs[0])
        a, b = (x.astype(np.int64) - graph.type(i).zero_point for x, i in zip(xs, node.inputs, strict=True))
        product = mbqm(a * b, *multiplier(node, graph)) + y.zero_point
        return (np.clip(product, *activation_limits(node, y)).astype(y.dtype.numpy),)

    def batchable(self, node: Node, graph: Graph) -> bool:
        return keeps_batch(node, graph)
