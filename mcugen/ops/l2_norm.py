"""l2_norm: x [..., depth] divided by the root of the sum of its squares along the last axis.

Integer form, TFLM's L2_NORMALIZATION (LiteRT kernels/internal/reference/integer_ops/l2normalization.h): the
output has scale 1/128 and zero point 0. A row of zeros stays zero.
Exact float form: x divided by the root of the sum of squares in order; no epsilon.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mcugen.fixed import mbqm
from mcugen.fixed_math import inverse_sqrt
from mcugen.float_math import sqrt
from mcugen.ir import Array, DType, Graph, Node, Quant, TensorType
from mcugen.ops.op import Op, sum_exact
from mcugen.ops.softmax import along_last

if TYPE_CHECKING:
    from mcugen.read.onnx_import import Importer, OnnxNode
    from mcugen.read.tflite_import import TfliteImporter, TfliteNode

DEPTH_LIMIT = 33025  # squares of up to 255 whose sum fits int32
QUANT = Quant((1 / 128,), (0,))


def import_lp_normalization(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    """ONNX LpNormalization with p = 2, along one axis."""
    if n.attr("p", 2) != 2:
        ctx.unsupported(n, f"p = {n.attr('p')} is not supported", "use p = 2")
    return [along_last(ctx, n, int(n.attr("axis", -1)), lambda x: ctx.emit(n, "l2_norm", [x]))]


def import_tflite_l2_norm(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    if n.options.get("fused_activation_function", "NONE") != "NONE":
        ctx.unsupported(n, "a fused activation is not supported", "convert again without it")
    if ctx.is_quantized(n.inputs[0]):
        ctx.require_int8(n, n.inputs[0])
    return [ctx.emit(n, "l2_norm", [n.inputs[0]])]


class L2Norm(Op):
    name = "l2_norm"
    restrictions = ("at most 33,025 elements", "ONNX: p = 2", "TFLite: no fused activation")
    onnx = {"LpNormalization": import_lp_normalization}
    tflite = {"L2_NORMALIZATION": import_tflite_l2_norm}

    def infer(self, node: Node, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        shape = inputs[0].shape
        if not shape or shape[-1] > DEPTH_LIMIT:
            raise ValueError(
                f"normalising {list(shape)}: at most {DEPTH_LIMIT:,} elements fit its arithmetic"
            )
        return (TensorType(shape),)

    def float_reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        norm = np.sqrt(np.square(xs[0].astype(np.float64)).sum(axis=-1, keepdims=True))
        return ((xs[0] / np.where(norm > 0.0, norm, 1.0)).astype(np.float32),)

    def float_exact(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        with np.errstate(all="ignore"):
            total = sum_exact(xs[0] * xs[0])
            return (xs[0] / np.where(total > 0, sqrt(total), np.float32(1)),)

    def reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        x = xs[0].astype(np.int64) - graph.type(node.inputs[0]).zero_point
        multiplier, shift = inverse_sqrt(np.square(x).sum(axis=-1, keepdims=True))
        return (np.clip(mbqm(x, multiplier, shift + 7), -128, 127).astype(np.int8),)

    def batchable(self, node: Node, graph: Graph) -> bool:
        return len(graph.type(node.inputs[0]).shape) > 1

    def fixed_quant(self, node: Node, dtype: DType = DType.INT8) -> Quant | None:
        return QUANT if dtype is DType.INT8 else None
