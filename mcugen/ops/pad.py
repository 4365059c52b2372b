"""pad: x -> x with cells of one value around it; same quantization in and out.

Attributes: pads, a pair (before, after) per axis, not negative; value (real; saturates in the integer form).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mcugen.ir import Array, Graph, Node, TensorType
from mcugen.ops.op import Op, quantize_array

if TYPE_CHECKING:
    from mcugen.read.onnx_import import Importer, OnnxNode
    from mcugen.read.tflite_import import TfliteImporter, TfliteNode


def _pairs(ctx: Importer, n: OnnxNode, rank: int) -> list[tuple[int, int]]:
    """Before and after of every axis, from ONNX's list of all befores and then all afters of some axes."""
    pads = ctx.ints(n, 1, "pads")
    given = ctx.ints(n, 3, "axes")
    axes = list(range(rank)) if given is None else [ctx.axis(n, a, rank) for a in given]
    if pads is None or len(pads) != 2 * len(axes) or len(set(axes)) != len(axes):
        ctx.invalid(n, f"pads {pads} for {len(axes)} axes")
    result = [(0, 0)] * rank
    for i, axis in enumerate(axes):
        result[axis] = (pads[i], pads[len(axes) + i])
    return result


def _value(ctx: Importer, n: OnnxNode) -> float:
    if not n.has_input(2):
        return float(n.attr("value", 0.0))
    data = ctx.value(n.inputs[2])
    if data is None:
        ctx.unsupported(n, "the padding's value is computed by the model", "export with a constant value")
    if data.size != 1:
        ctx.invalid(n, f"a padding value of shape {list(data.shape)}")
    return float(data.reshape(()))


def import_pad(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    """Padding of any axes with one value or with the input's own; negative padding crops, which is a slice."""
    mode = n.attr("mode", "constant") or "constant"
    if mode not in ("constant", "reflect", "edge"):
        fix = "export with zero padding, or pad the input in firmware"
        ctx.unsupported(n, f"padding mode {mode!r} is not supported", fix)
    value = _value(ctx, n) if mode == "constant" else 0.0
    if not np.isfinite(value):
        fix = "if it pads for a max pooling, use the pooling's own padding"
        ctx.unsupported(n, f"padding with {value} has no integer form", fix)
    x = n.inputs[0]
    shape = ctx.shape(x)
    pads = _pairs(ctx, n, len(shape))
    if any(p < 0 for pair in pads for p in pair):
        if mode != "constant":
            ctx.unsupported(n, f"negative padding in mode {mode!r} is not supported", "crop with a Slice")
        crop = [(max(-before, 0), max(-after, 0)) for before, after in pads]
        size = tuple(d - before - after for d, (before, after) in zip(shape, crop, strict=True))
        begin, step = tuple(before for before, _ in crop), (1,) * len(shape)
        x = ctx.emit(n, "slice", [x], {"begin": begin, "step": step, "size": size})
    grown = tuple((max(before, 0), max(after, 0)) for before, after in pads)
    if not any(p for pair in grown for p in pair):
        return [x]
    if mode != "constant":
        return [ctx.emit(n, "mirror_pad", [x], {"pads": grown, "mode": mode})]
    return [ctx.emit(n, "pad", [x], {"pads": grown, "value": value})]


def import_tflite_pad(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    """TFLite PAD (with 0) and PADV2 (with a constant in x's quantization)."""
    x, pads = ctx.type(n.inputs[0]), ctx.ints(n, 1)
    if pads is None or len(pads) != 2 * len(x.shape):
        ctx.invalid(n, f"pads {pads} for the shape {list(x.shape)}")
    if ctx.is_quantized(n.outputs[0]):
        ctx.require_integers(n, n.inputs[0], n.outputs[0])
    value = 0.0
    if n.op_type == "PADV2":
        data = ctx.constant_input(n, 2, "the padding's value")
        if data.size != 1:
            ctx.invalid(n, f"a padding value of the shape {list(data.shape)}")
        value = float(data.reshape(()))
        if ctx.is_quantized(n.outputs[0]):  # TFLM copies the integer
            y = ctx.type(n.outputs[0])
            value = y.scale * (value - y.zero_point)
    pairs = tuple(zip(pads[::2], pads[1::2], strict=True))
    return [ctx.emit(n, "pad", [n.inputs[0]], {"pads": pairs, "value": value})]


class Pad(Op):
    name = "pad"
    restrictions = (
        "constant paddings, and a constant finite value",
        "ONNX: modes constant, reflect and edge; negative paddings in mode constant",
    )
    onnx = {"Pad": import_pad}
    tflite = {"PAD": import_tflite_pad, "PADV2": import_tflite_pad}

    def infer(self, node: Node, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        shape, pads = inputs[0].shape, node.attrs["pads"]
        if len(pads) != len(shape) or any(p < 0 for pair in pads for p in pair):
            raise ValueError(f"padding {pads} of {list(shape)}")
        grown = tuple(d + before + after for d, (before, after) in zip(shape, pads, strict=True))
        return (TensorType(grown),)

    def batchable(self, node: Node, graph: Graph) -> bool:
        return bool(node.attrs["pads"][0] == (0, 0))

    def same_quant(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (node.inputs[0], node.outputs[0])

    def float_reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        return (np.pad(xs[0], node.attrs["pads"], constant_values=np.float32(node.attrs["value"])),)

    def reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        return (np.pad(xs[0], node.attrs["pads"], constant_values=fill_value(node, graph)),)


def fill_value(node: Node, graph: Graph) -> float:
    """The element of the padding: the real value, or the integer under the output's quantization, saturated."""
    y = graph.type(node.outputs[0])
    if y.quant is None:
        return float(node.attrs["value"])
    return int(quantize_array(np.array(node.attrs["value"]), y.quant, y.dtype))
