"""softmax along the last axis: x [..., depth] -> y [..., depth]. Attribute: beta, which multiplies x.

Integer form: TFLM's SOFTMAX (mcugen.fixed.softmax_int8); the output has scale 1/256 and zero point -128. Of int16:
mcugen.fixed16.softmax_int16, scale 1/32768 and zero point 0.
Exact float form: e^(beta (x - max)) divided by their sum, which is taken in order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mcugen.fixed import softmax_int8, softmax_params
from mcugen.fixed16 import softmax_int16, softmax_int16_params
from mcugen.float_math import exp
from mcugen.ir import Array, DType, Graph, Node, Quant, TensorType
from mcugen.ops.op import Op, max_exact, sum_exact

if TYPE_CHECKING:
    from mcugen.read.onnx_import import Importer, OnnxNode
    from mcugen.read.tflite_import import TfliteImporter, TfliteNode

OUTPUT_QUANTS = {DType.INT8: Quant((1 / 256,), (-128,)), DType.INT16: Quant((1 / 32768,), (0,))}
DEPTH_LIMIT = 4096  # the sum has 12 integer bits


def along_last(ctx: Importer, n: OnnxNode, axis: int, make: Callable[[str], str]) -> str:
    """What `make` gives for the node's input with `axis` as the last one, turned back."""
    rank = len(ctx.shape(n.inputs[0]))
    axis = ctx.axis(n, axis, rank)
    perm = (*(i for i in range(rank) if i != axis), axis)
    y = make(ctx.transpose(n, n.inputs[0], perm))
    return ctx.transpose(n, y, [perm.index(i) for i in range(rank)])


def import_softmax(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    """ONNX Softmax and LogSoftmax: along one axis; before opset 13 over all axes from `axis` on, as one."""
    x = n.inputs[0]
    shape = ctx.shape(x)
    rank = len(shape)
    axis = ctx.axis(n, int(n.attr("axis", -1 if ctx.opset >= 13 else 1)), rank)
    if ctx.opset < 13:
        if axis == 0 and rank > 1 and shape[0] == 1:
            axis = 1  # the same numbers, and the batch stays an axis
        flat = ctx.reshape(n, x, (*shape[:axis], int(np.prod(shape[axis:]))))
        return [ctx.reshape(n, _softmax(ctx, n, flat), shape)]
    return [along_last(ctx, n, axis, lambda turned: _softmax(ctx, n, turned))]


def depth_fault(depth: int) -> tuple[str, str]:
    """Why DEPTH_LIMIT elements or more are refused, and what to do."""
    return (
        f"softmax over {depth} elements is not supported",
        f"at most {DEPTH_LIMIT - 1} fit its arithmetic",
    )


def _softmax(ctx: Importer, n: OnnxNode, x: str) -> str:
    depth = ctx.shape(x)[-1]
    if depth >= DEPTH_LIMIT:
        ctx.unsupported(n, *depth_fault(depth))
    if n.op_type == "LogSoftmax":
        return ctx.emit(n, "log_softmax", [x])
    return ctx.emit(n, "softmax", [x], {"beta": 1.0})


def import_tflite_softmax(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    """TFLite SOFTMAX along the last axis."""
    x, y = ctx.type(n.inputs[0]), ctx.type(n.outputs[0])
    if ctx.is_quantized(n.outputs[0]):
        ctx.require_integers(n, n.inputs[0], n.outputs[0])
        if y.quant != OUTPUT_QUANTS[y.dtype]:
            wanted = "1/32768 and 0" if y.dtype is DType.INT16 else "1/256 and -128"
            ctx.invalid(n, f"output scale {y.scale:g} and zero point {y.zero_point} instead of {wanted}")
    if x.shape and x.shape[-1] >= DEPTH_LIMIT:
        fix = f"at most {DEPTH_LIMIT - 1} fit its arithmetic"
        ctx.unsupported(n, f"softmax over {x.shape[-1]} elements is not supported", fix)
    if not 0.0 < n.options["beta"] < float("inf"):
        ctx.invalid(n, f"beta {n.options['beta']}")
    return [ctx.emit(n, "softmax", [n.inputs[0]], {"beta": n.options["beta"]})]


class Softmax(Op):
    name = "softmax"
    restrictions = (
        "fewer than 4,096 elements along the axis",
        "TFLite: the output's scale is 1/256 and its zero point -128, of int16 1/32768 and 0",
    )
    onnx = {"Softmax": import_softmax}
    tflite = {"SOFTMAX": import_tflite_softmax}

    def infer(self, node: Node, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        if not inputs[0].shape:
            raise ValueError("softmax of a scalar")
        return (TensorType(inputs[0].shape),)

    def float_reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        x = xs[0] * np.float32(node.attrs["beta"])
        exps = np.exp(x - x.max(axis=-1, keepdims=True))
        return (exps / exps.sum(axis=-1, keepdims=True),)

    def float_exact(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        with np.errstate(all="ignore"):
            exps = exp((xs[0] - max_exact(xs[0])) * np.float32(node.attrs["beta"]))
            return (exps / sum_exact(exps),)

    def reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        x = graph.type(node.inputs[0])
        if x.dtype is DType.INT16:
            return (softmax_int16(xs[0], *softmax_int16_params(node.attrs["beta"], x.scale)),)
        return (softmax_int8(xs[0], *softmax_params(node.attrs["beta"], x.scale)),)

    def batchable(self, node: Node, graph: Graph) -> bool:
        return len(graph.type(node.inputs[0]).shape) > 1

    def fixed_quant(self, node: Node, dtype: DType = DType.INT8) -> Quant | None:
        return OUTPUT_QUANTS[dtype]
