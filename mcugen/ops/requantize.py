"""requantize, quantize, dequantize: the same numbers under another scale and zero point, of or as real numbers.

x [...] -> y [...]. The compiler inserts requantize where an operator's tensors must share one quantization, and all
three where inputs and outputs have other types than the network. Definitions are TFLM's QUANTIZE and DEQUANTIZE:

* integers to integers (LiteRT kernels/internal/reference/requantize.h), multiplier in double:
  y = clamp(MBQM(x - z_x, s_x / s_y) + z_y);
* float32 to integers (reference/quantize.h): y = clamp(round(x / s_y) + z_y), halves away from zero, the division in
  float32; NaN becomes z_y, which TFLM leaves open;
* integers to float32 (reference/dequantize.h): y = s_x * (x - z_x).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mcugen.fixed import ALL_INT8, dequantize_real, mbqm, quantize_multiplier, quantize_real
from mcugen.ir import Array, DType, Graph, Node, TensorType
from mcugen.ops.op import Op

if TYPE_CHECKING:
    from mcugen.read.tflite_import import TfliteImporter, TfliteNode

INTEGERS = (DType.INT8, DType.UINT8, DType.INT16)


def multiplier(node: Node, graph: Graph) -> tuple[int, int]:
    """Multiplier and shift of a requantize node."""
    x, y = graph.type(node.inputs[0]), graph.type(node.outputs[0])
    # From 2^9 on a difference of 1 fills 8 bits; the products with differences of 16 bits must fit int32.
    wide = 2.0**14 if x.dtype is DType.INT16 else 2.0**17
    return quantize_multiplier(min(x.scale / y.scale, wide if y.dtype is DType.INT16 else 2.0**9))


def _requantized(node: Node, graph: Graph, x: Array) -> Array:
    x_type, y_type = graph.type(node.inputs[0]), graph.type(node.outputs[0])
    limits = np.iinfo(y_type.dtype.numpy)
    scaled = mbqm(x.astype(np.int64) - x_type.zero_point, *multiplier(node, graph))
    return np.clip(scaled + y_type.zero_point, limits.min, limits.max).astype(y_type.dtype.numpy)


def table(node: Node, graph: Graph) -> Array:
    """The outputs int8 [256] of an int8 requantize: that of the input q at index q + 128."""
    return _requantized(node, graph, ALL_INT8)


def import_tflite_quantize(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    """TFLite QUANTIZE between integers, or from float32."""
    x, y = ctx.type(n.inputs[0]), ctx.type(n.outputs[0])
    for name, ttype in ((n.inputs[0], x), (n.outputs[0], y)):
        if ttype.dtype is DType.FLOAT32 and name is n.inputs[0]:
            continue
        if ttype.dtype not in INTEGERS or ttype.quant is None or ttype.quant.axis is not None:
            fix = "convert the model to int8"
            ctx.unsupported(n, f"{name!r} is {ttype.dtype}, or has not one scale", fix)
    op = "quantize" if x.dtype is DType.FLOAT32 else "requantize"
    return [ctx.emit(n, op, [n.inputs[0]])]


def import_tflite_dequantize(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    """TFLite DEQUANTIZE of integers."""
    x = ctx.type(n.inputs[0])
    if x.dtype not in INTEGERS or x.quant is None or x.quant.axis is not None:
        fix = "convert the model to int8"
        ctx.unsupported(n, f"{n.inputs[0]!r} is {x.dtype}, or has not one scale", fix)
    return [ctx.emit(n, "dequantize", [n.inputs[0]])]


class _Elementwise(Op):
    def infer(self, node: Node, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        return (TensorType(inputs[0].shape),)

    def float_reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        return (xs[0],)


class Requantize(_Elementwise):
    name = "requantize"

    def reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        return (_requantized(node, graph, xs[0]),)


class Quantize(_Elementwise):
    name = "quantize"
    restrictions = ("TFLite: to and between int8, uint8 and int16, and from float32",)
    tflite = {"QUANTIZE": import_tflite_quantize}

    def reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        y = graph.type(node.outputs[0])
        return (quantize_real(xs[0], y.scale, y.zero_point, y.dtype.value),)


class Dequantize(_Elementwise):
    name = "dequantize"
    restrictions = ("TFLite: from int8, uint8 and int16",)
    tflite = {"DEQUANTIZE": import_tflite_dequantize}

    def float_exact(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        x = graph.type(node.inputs[0])
        return (dequantize_real(xs[0], x.scale, x.zero_point),)
