"""prelu: x [...] -> x where it is not negative, else x times its slope; slopes [...] broadcast to x.

Both have the same rank; slopes may be constant. Integer form, TFLM's PRELU (LiteRT
kernels/internal/reference/prelu.h), multipliers in double: with v = x - z_x,
y = clamp(MBQM(v, s_x / s_y) + z_y) for v >= 0, else clamp(MBQM(v (a - z_a), s_x s_a / s_y) + z_y).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mcugen.fixed import quantize_multiplier, saturating_mbqm
from mcugen.float_math import apply
from mcugen.ir import Array, Graph, Node, TensorType
from mcugen.ops.add import broadcast_type, emit_broadcast, import_tflite_binary, keeps_batch, uniform
from mcugen.ops.conv2d import RATIO_LIMIT
from mcugen.ops.op import Op
from mcugen.ops.unary import emit_unary

if TYPE_CHECKING:
    from mcugen.read.onnx_import import Importer, OnnxNode
    from mcugen.read.tflite_import import TfliteImporter, TfliteNode


def import_prelu(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    """ONNX PRelu; with one slope for all elements a leaky ReLU."""
    x, slope = n.inputs[:2]
    if ctx.value(slope) is not None:
        ctx.constant_input(n, 1, "slopes")
    number = uniform(ctx.value(slope))
    if number is not None and len(ctx.shape(slope)) <= len(ctx.shape(x)):
        return [emit_unary(ctx, n, x, ("leaky_relu", ("x",), number))]
    return [emit_broadcast(ctx, n, "prelu", x, slope)]


def import_tflite_prelu(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    return import_tflite_binary(ctx, n, "prelu", {})


def multipliers(node: Node, graph: Graph) -> tuple[tuple[int, int], tuple[int, int]]:
    """(multiplier, shift) of numbers that are not negative, and of products with slopes."""
    x, slope = (graph.type(i).scale for i in node.inputs)
    y = graph.type(node.outputs[0]).scale
    return quantize_multiplier(min(x / y, RATIO_LIMIT)), quantize_multiplier(min(x * slope / y, RATIO_LIMIT))


class PRelu(Op):
    name = "prelu"
    restrictions = ("slopes broadcast to x",)
    onnx = {"PRelu": import_prelu}
    tflite = {"PRELU": import_tflite_prelu}

    def infer(self, node: Node, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        (y,) = broadcast_type(inputs)
        if y.shape != inputs[0].shape:
            raise ValueError(f"slopes {list(inputs[1].shape)} do not fit an input {list(inputs[0].shape)}")
        return (y,)

    def float_reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        return (np.where(xs[0] < 0, xs[0] * xs[1], xs[0]),)

    def float_exact(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        return (apply("prelu", *xs),)

    def reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        x, slope = (
            v.astype(np.int64) - graph.type(i).zero_point for v, i in zip(xs, node.inputs, strict=True)
        )
        identity, scaled = multipliers(node, graph)
        y = np.where(x >= 0, saturating_mbqm(x, *identity), saturating_mbqm(x * slope, *scaled))
        return (np.clip(y + graph.type(node.outputs[0]).zero_point, -128, 127).astype(np.int8),)

    def batchable(self, node: Node, graph: Graph) -> bool:
        return keeps_batch(node, graph)
