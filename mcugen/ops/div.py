"""div: a [...] / b [...] -> y [...], broadcast as in numpy; one of them may be constant.

All operands have the output's rank. Attribute: clamp (lo, hi). Integer form, TFLM's DIV (LiteRT
kernels/internal/reference/div.h), multiplier s_a / (s_b s_y) in double: the reciprocal of |b - z_b| by three
Newton-Raphson steps, times a - z_a shifted to the top, rescaled. Where TFLM would divide by 2^32 or more, which C
does not define, the quotient is 0; where b is 0, it counts as one step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mcugen.fixed import get_reciprocal, quantize_multiplier, rdbpot, srdhm
from mcugen.float_math import apply
from mcugen.ir import Array, Graph, Node, TensorType
from mcugen.ops.add import (
    broadcast_shape,
    broadcast_type,
    check_operands,
    emit_binary,
    emit_broadcast,
    import_tflite_binary,
    keeps_batch,
    uniform,
)
from mcugen.ops.functions import X
from mcugen.ops.op import Op, activation_limits, clamp_array, clamp_exact, clamp_of
from mcugen.ops.unary import emit_unary

if TYPE_CHECKING:
    from mcugen.read.onnx_import import Importer, OnnxNode
    from mcugen.read.tflite_import import TfliteImporter, TfliteNode

RATIO_LIMIT = 2.0**22  # of s_a to s_b s_y: from 2^16 on 1 / 255 fills the whole range


def import_div(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    """ONNX Div; by a constant as a product with its reciprocal, a number divided by x as a unary function."""
    check_operands(ctx, n)
    a, b = n.inputs
    divisor, dividend = ctx.value(b), uniform(ctx.value(a))
    if divisor is not None:
        with np.errstate(divide="ignore", over="ignore"):
            factor = np.float32(1.0) / np.asarray(divisor, np.float32)
        if not np.isfinite(factor).all():
            ctx.invalid(n, "division by 0, or by a number whose reciprocal leaves float32")
        return [emit_binary(ctx, n, "mul", a, ctx.add(n, factor))]
    if dividend is not None and broadcast_shape(ctx, n, a, b) == ctx.shape(b):
        return [emit_unary(ctx, n, b, ("div", dividend, X))]
    return [emit_broadcast(ctx, n, "div", a, b)]


def import_tflite_div(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    return import_tflite_binary(ctx, n, "div", {"clamp": ctx.clamp(n)})


def multiplier(node: Node, graph: Graph) -> tuple[int, int]:
    """(multiplier, shift) of the quotient of integers."""
    a, b = (graph.type(i).scale for i in node.inputs)
    return quantize_multiplier(min(a / (b * graph.type(node.outputs[0]).scale), RATIO_LIMIT))


class Div(Op):
    name = "div"
    restrictions = ("ONNX: no 0 in a constant divisor",)
    onnx = {"Div": import_div}
    tflite = {"DIV": import_tflite_div}

    def infer(self, node: Node, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        return broadcast_type(inputs)

    def float_reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        with np.errstate(all="ignore"):
            return (clamp_array(xs[0] / xs[1], clamp_of(node)),)

    def float_exact(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        return (clamp_exact(apply("div", *xs), clamp_of(node)),)

    def reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        y = graph.type(node.outputs[0])
        a, b = (x.astype(np.int64) - graph.type(i).zero_point for x, i in zip(xs, node.inputs, strict=True))
        a, b = np.where(b < 0, -a, a), np.maximum(np.abs(b), 1)
        reciprocal, bits_over_unit = get_reciprocal(b, 31)
        headroom = 31 - np.frexp(np.where(a < 0, ~a, a).astype(np.float64))[1].astype(np.int64)
        factor, shift = multiplier(node, graph)
        right = headroom + bits_over_unit - shift
        quotient = srdhm(srdhm(a << headroom, reciprocal), factor)
        result = np.where(right <= 31, rdbpot(quotient, np.minimum(right, 31)), 0) + y.zero_point
        return (np.clip(result, *activation_limits(node, y)).astype(np.int8),)

    def batchable(self, node: Node, graph: Graph) -> bool:
        return keeps_batch(node, graph)
