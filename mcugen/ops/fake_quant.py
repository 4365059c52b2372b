"""fake_quant: real numbers as a tensor of integers holds them, s * (clamp(round(x / s) + z) - z), halves to even.

x [...] -> y [...]. Attributes: scale, zero_point (of the signed form; uint8 is moved by -128), dtype (int8 or int16).
It stands for a pair QuantizeLinear and DequantizeLinear in a float graph: normalising turns it into the annotation of
the tensor it reads (normalise/annotations.py). Definitions are ONNX's, in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mcugen.ir import Array, DType, Graph, Node, Quant, TensorType
from mcugen.ops.op import Op, limits

if TYPE_CHECKING:
    from mcugen.read.onnx_import import Importer, OnnxNode


def fake_quantized(x: Array, quant: Quant, dtype: DType = DType.INT8) -> Array:
    """x as integers with this scale and zero point hold it."""
    scale, zero_point = np.float32(quant.scale[0]), quant.zero_point[0]
    low, high = limits(dtype)
    with np.errstate(all="ignore"):
        steps = np.rint(np.nan_to_num(np.asarray(x, np.float32) / scale))
    return np.asarray(scale * np.clip(steps, low - zero_point, high - zero_point), np.float32)


def quant_of(node: Node) -> Quant:
    """The quantization that a fake_quant node stands for."""
    return Quant((float(node.attrs["scale"]),), (int(node.attrs["zero_point"]),))


def import_quantize(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    """QuantizeLinear of an activation: real numbers still, with the code of the integers kept beside them."""
    code = ctx.code(n)
    attrs = {"scale": code.scale, "zero_point": code.zero_point, "dtype": code.signed.value}
    y = ctx.emit(n, "fake_quant", [n.inputs[0]], attrs)
    ctx.coded[n.outputs[0]] = code
    return [y]


def import_dequantize(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    """DequantizeLinear of an activation: the real numbers that its QuantizeLinear left."""
    written = ctx.coded.get(n.inputs[0])
    if written is None:
        fix = "quantize activations with QuantizeLinear, to int8, uint8 or int16"
        ctx.unsupported(n, f"{n.inputs[0]!r} does not come from a QuantizeLinear", fix)
    if written.dynamic and n.inputs[1] != written.names[0]:
        ctx.invalid(n, f"reads {n.inputs[0]!r} with another scale than {written.origin} has found")
    if not written.dynamic:
        code = ctx.code(n)
        if (code.scale, code.zero_point, code.dtype) != (written.scale, written.zero_point, written.dtype):
            ctx.invalid(n, f"reads {n.inputs[0]!r} as {code}, but {written.origin} wrote it as {written}")
    return [n.inputs[0]]


class FakeQuant(Op):
    """No node of a final graph: an annotation of the tensor it reads."""

    name = "fake_quant"
    restrictions = (
        "activations: int8 or uint8, or all int16 with the zero point 0, one scale; the DequantizeLinear has the "
        "scale of its QuantizeLinear",
        "weights: int8 or uint8, one scale or one per output channel",
    )
    onnx = {"QuantizeLinear": import_quantize, "DequantizeLinear": import_dequantize}

    def infer(self, node: Node, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        return (TensorType(inputs[0].shape),)

    def float_reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        return (fake_quantized(xs[0], quant_of(node), DType(node.attrs["dtype"])),)
