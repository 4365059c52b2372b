"""log_softmax along the last axis: x [..., depth] -> log(softmax(x)) [..., depth].

Integer form, TFLM's LOG_SOFTMAX (LiteRT kernels/internal/reference/log_softmax.h): the output has scale 16/256
and zero point 127. Exponentials of the differences to the maximum as in softmax, their sum's logarithm in Q5.26.
Exact float form: (x - max) - log(the sum of e^(x - max) in order).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mcugen.fixed import INT32_MIN, exp_on_negative_values, mbqm, rdbpot, softmax_params
from mcugen.fixed_math import log_of_sum, log_softmax_params
from mcugen.float_math import exp, log
from mcugen.ir import Array, DType, Graph, Node, Quant, TensorType
from mcugen.ops.op import Op, max_exact, sum_exact
from mcugen.ops.softmax import DEPTH_LIMIT, depth_fault, import_softmax

if TYPE_CHECKING:
    from mcugen.read.tflite_import import TfliteImporter, TfliteNode

QUANT = Quant((16 / 256,), (127,))


def import_tflite_log_softmax(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    x = n.inputs[0]
    depth = ctx.shape(x)[-1] if ctx.shape(x) else 0
    if depth >= DEPTH_LIMIT:
        ctx.unsupported(n, *depth_fault(depth))
    if ctx.is_quantized(x):
        ctx.require_int8(n, x)
        if ctx.type(n.outputs[0]).quant != QUANT:
            ctx.unsupported(n, "its output's scale is not 1/16, or its zero point not 127", "convert again")
    return [ctx.emit(n, "log_softmax", [x])]


class LogSoftmax(Op):
    name = "log_softmax"
    restrictions = (
        "fewer than 4,096 elements along the axis",
        "TFLite: the output's scale is 1/16 and its zero point 127",
    )
    onnx = {"LogSoftmax": import_softmax}
    tflite = {"LOG_SOFTMAX": import_tflite_log_softmax}

    def infer(self, node: Node, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        if not inputs[0].shape:
            raise ValueError("log_softmax of a scalar")
        return (TensorType(inputs[0].shape),)

    def float_reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        x = xs[0] - xs[0].max(axis=-1, keepdims=True)
        return (x - np.log(np.exp(x).sum(axis=-1, keepdims=True)),)

    def float_exact(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        with np.errstate(all="ignore"):
            x = xs[0] - max_exact(xs[0])
            return (x - log(sum_exact(exp(x))),)

    def reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        multiplier, shift, diff_min = softmax_params(1.0, graph.type(node.inputs[0]).scale)
        difference = xs[0].astype(np.int64) - xs[0].max(axis=-1, keepdims=True)
        counted = difference >= diff_min
        exps = exp_on_negative_values(mbqm(np.where(counted, difference, 0), multiplier, shift))
        log = log_of_sum(np.where(counted, rdbpot(exps, 12), 0).sum(axis=-1, keepdims=True))
        lowest = np.maximum(diff_min - 1, mbqm(log + INT32_MIN, *log_softmax_params(multiplier, shift)))
        seen = difference > lowest
        scaled = mbqm(np.where(seen, difference, 0), multiplier, shift)
        y = np.clip(rdbpot(scaled - log, 31 - 5 - 4) + 127, -128, 127)
        return (np.where(seen, y, -128).astype(np.int8),)

    def batchable(self, node: Node, graph: Graph) -> bool:
        return len(graph.type(node.inputs[0]).shape) > 1

    def fixed_quant(self, node: Node, dtype: DType = DType.INT8) -> Quant | None:
        return QUANT if dtype is DType.INT8 else None
