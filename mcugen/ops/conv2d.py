"""conv2d: x [N, H, W, C], weights [O, kh, kw, C/groups], bias [O] -> [N, Ho, Wo, O].

Attributes: strides (h, w), dilations (h, w), pads (top, left, bottom, right), groups, clamp (lo, hi),
channels_first (x is [N, C, H, W]; absent for false).
Integer form: semantics.md, CONV_2D. 1-D convolutions are imported with W = 1. Of int16 activations the bias says how
sums are rescaled, as in TFLM: int64 by 16 bits of the multiplier, rounding once, int32 as int8's. Ours are int64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mcugen.errors import Fault, ModelError
from mcugen.fixed import quantize_multiplier, saturating_mbqm, saturating_mbqm64
from mcugen.ir import Array, DType, Graph, Node, Quant, Tensor, TensorType
from mcugen.ops.dynamic_range import is_dynamic, quantized_input, rescaled
from mcugen.ops.op import (
    Op,
    activation_limits,
    clamp_array,
    clamp_exact,
    clamp_of,
    dot_exact,
    quantize_weights,
    window_extent,
)
from mcugen.ops.space_to_batch import holds_phases
from mcugen.ops.wide_weights import emit_layer

if TYPE_CHECKING:
    from mcugen.read.onnx_import import Importer, OnnxNode
    from mcugen.read.tflite_import import TfliteImporter, TfliteNode

Dot = Callable[[Array, Array], Array]  # x [..., K], w [N, K] -> [..., N]
SUMS_OF_32_BITS = (
    "CONV_2D",
    "FULLY_CONNECTED",
)  # operators of TFLM that have them of int16, with an int32 bias
RATIO_LIMIT = 2.0**29  # of s_in * s_w / s_out: from 2^9 on, one more in the accumulator fills the whole range
WIDE_RATIO_LIMIT = 2.0**14 - 1.0  # the same where int64 sums are rescaled; TFLM's is 2^7


def import_conv(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    """ONNX Conv, 1-D and 2-D, as a channels-last convolution between two transposes."""
    weights = ctx.constant_input(n, 1, "weights")
    spatial = weights.ndim - 2
    if spatial not in (1, 2):
        ctx.unsupported(n, f"{spatial}-D convolution is not supported", "use 1-D or 2-D convolutions")
    x = n.inputs[0]
    channels, groups = ctx.shape(x)[1], int(n.attr("group", 1))
    if groups < 1 or weights.shape[0] % groups or channels != weights.shape[1] * groups:
        ctx.invalid(
            n, f"{channels} input channels do not fit weights {list(weights.shape)} in {groups} groups"
        )
    bias = ctx.constant_input(n, 2, "bias") if n.has_input(2) else np.zeros(weights.shape[0], np.float32)
    if bias.shape != weights.shape[:1]:
        ctx.invalid(n, f"bias {list(bias.shape)} does not fit {weights.shape[0]} output channels")
    window = ctx.window(n, ctx.shape(x)[2:], weights.shape[2:])
    attrs = dict(strides=window.strides, dilations=window.dilations, pads=window.pads)
    nhwc = ctx.to_channels_last(n, x)
    depthwise = weights.shape[1] == 1 and groups == channels and channels > 1

    def turn(w: Array) -> Array:
        w = w[:, :, :, None] if spatial == 1 else w
        if depthwise:
            return w.transpose(2, 3, 1, 0).reshape(1, *w.shape[2:], w.shape[0])
        return w.transpose(0, 2, 3, 1)

    quant = ctx.scales(n, 1, 3 if depthwise else 0, turn)
    op, more = ("depthwise_conv2d", {}) if depthwise else ("conv2d", {"groups": groups})
    y = emit_layer(ctx, n, op, nhwc, turn(weights), bias, quant, {**attrs, **more})
    return [ctx.from_channels_last(n, y, rank=spatial + 2)]


def tflite_weights(ctx: TfliteImporter, n: TfliteNode, axis: int) -> list[str]:
    """Names of the constant weights and of the bias, which is 0 where the file has none.

    int8 and int16: weights with one scale, or one per index of `axis`; the bias is int32, with int16 also int64.
    """
    weights, ttype = ctx.constant_input(n, 1, "weights"), ctx.type(n.inputs[1])
    outputs = weights.shape[axis] if weights.ndim > axis else 0
    quantized = ctx.is_quantized(n.outputs[0])
    if quantized:
        ctx.require_integers(n, n.inputs[0], n.outputs[0])
        if ttype.dtype != DType.INT8 or ttype.quant is None:
            ctx.unsupported(n, f"weights are {ttype.dtype}, not quantized int8", "convert the model to int8")
        if any(ttype.quant.zero_point):
            fix = "convert with symmetric weights, as the TFLite converter does"
            ctx.unsupported(n, "weights with a zero point other than 0 are not supported", fix)
        if ttype.quant.axis not in (None, axis):
            ctx.invalid(n, f"weights have a scale per index of axis {ttype.quant.axis} instead of {axis}")
    if not n.has_input(2):
        return [n.inputs[1], ctx.add(n, *_no_bias(ctx.type(n.inputs[0]), ttype, outputs, quantized))]
    bias, wanted = ctx.constant_input(n, 2, "bias"), DType.INT32 if quantized else DType.FLOAT32
    wide = ctx.type(n.inputs[0]).dtype is DType.INT16
    kind = ctx.type(n.inputs[2])
    if kind.dtype != wanted and not (wide and kind.dtype is DType.INT64):
        ctx.unsupported(n, f"the bias is {bias.dtype}, not {wanted}", "convert the model to int8 or float32")
    if bias.size != outputs:
        ctx.invalid(n, f"bias {list(bias.shape)} does not fit {outputs} output channels")
    if wide and n.op_type not in SUMS_OF_32_BITS and kind.dtype is DType.INT32:
        numbers, kind = bias.reshape(-1).astype(np.int64), replace(kind, shape=(outputs,), dtype=DType.INT64)
        return [n.inputs[1], ctx.add(n, numbers, kind)]
    return [n.inputs[1], ctx.reshape(n, n.inputs[2], (outputs,))]


def _no_bias(x: TensorType, w: TensorType, outputs: int, quantized: bool) -> tuple[Array, TensorType]:
    """A bias of zeros at the products' scale."""
    if not quantized or w.quant is None:
        return np.zeros(outputs, np.float32), TensorType((outputs,))
    scales = tuple(x.scale * s for s in w.quant.scale)
    quant = Quant(scales, (0,) * len(scales), None if w.quant.axis is None else 0)
    kind = DType.INT64 if x.dtype is DType.INT16 else DType.INT32
    return np.zeros(outputs, kind.numpy), TensorType((outputs,), kind, quant)


def import_tflite_conv(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    """TFLite CONV_2D [x, weights OHWI, bias] and DEPTHWISE_CONV_2D [x, weights 1HWC, bias]."""
    depthwise = n.op_type == "DEPTHWISE_CONV_2D"
    w, b = tflite_weights(ctx, n, 3 if depthwise else 0)
    # BATCH_TO_SPACE_ND makes sense of a batch of phases
    if holds_phases(ctx, n.inputs[0]) and len(ctx.shape(n.inputs[0])) == 4:
        _, height, width, channels = ctx.shape(n.inputs[0])
    else:
        height, width, channels = ctx.image(n, n.inputs[0])
    kernel = ctx.shape(w)
    if len(kernel) != 4 or 0 in kernel:
        ctx.invalid(n, f"weights of the shape {list(kernel)}")
    strides = (n.options["stride_h"], n.options["stride_w"])
    dilations = (n.options["dilation_h_factor"], n.options["dilation_w_factor"])
    pads = ctx.pads(n, (height, width), kernel[1:3], strides, dilations)
    attrs = dict(strides=strides, dilations=dilations, pads=pads, clamp=ctx.clamp(n))
    if depthwise:
        return [ctx.emit(n, "depthwise_conv2d", [n.inputs[0], w, b], attrs)]
    groups = max(channels // kernel[3], 1)
    return [ctx.emit(n, "conv2d", [n.inputs[0], w, b], {**attrs, "groups": groups})]


def channels_first(node: Node) -> bool:
    """Whether x is [N, C, H, W]: a model's input, read as it comes instead of through a transpose."""
    return bool(node.attrs.get("channels_first", False))


def nhwc_shape(node: Node, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A convolution's input shape as [N, H, W, C]."""
    return (shape[0], *shape[2:], shape[1]) if channels_first(node) else shape


def window_shape(node: Node, x: tuple[int, ...], kernel: tuple[int, int]) -> tuple[int, int, int]:
    """(N, Ho, Wo) of a sliding window over NHWC; ValueError if it does not fit into the padded input."""
    (sh, sw), (dh, dw) = node.attrs["strides"], node.attrs["dilations"]
    top, left, bottom, right = node.attrs["pads"]
    height = window_extent(x[1], kernel[0], sh, dh, top, bottom)
    width = window_extent(x[2], kernel[1], sw, dw, left, right)
    if min(height, width) < 1:
        raise ValueError(f"the kernel {kernel[0]}x{kernel[1]} is larger than the padded input {x[1]}x{x[2]}")
    return x[0], height, width


def window_patches(x: Array, node: Node, kernel: tuple[int, int], out: tuple[int, int], fill: float) -> Array:
    """View [N, Ho, Wo, kh, kw, C] of the padded input under each position of a sliding window (im2col)."""
    top, left, bottom, right = node.attrs["pads"]
    (sh, sw), (dh, dw) = node.attrs["strides"], node.attrs["dilations"]
    # ceil_mode windows may reach beyond the declared padding
    bottom = max(bottom, (out[0] - 1) * sh + (kernel[0] - 1) * dh + 1 - x.shape[1] - top)
    right = max(right, (out[1] - 1) * sw + (kernel[1] - 1) * dw + 1 - x.shape[2] - left)
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=fill)
    n, h, w, c = padded.strides
    return np.lib.stride_tricks.as_strided(
        padded,
        (x.shape[0], *out, *kernel, x.shape[3]),
        (n, h * sh, w * sw, h * dh, w * dw, c),
        writeable=False,
    )


def requantization(node: Node, graph: Graph) -> tuple[Array, Array]:
    """Multipliers and shifts int64 [C] of a convolution: double(s_in) * double(s_w[c]) / double(s_out)."""
    x, w, y = graph.type(node.inputs[0]), graph.type(node.inputs[1]), graph.type(node.outputs[0])
    assert w.quant is not None
    limit = WIDE_RATIO_LIMIT if rounds_once(node, graph) else RATIO_LIMIT
    pairs = [quantize_multiplier(min(x.scale * s / y.scale, limit)) for s in w.quant.scale]
    return np.array([q for q, _ in pairs], np.int64), np.array([s for _, s in pairs], np.int64)


def rounds_once(node: Node, graph: Graph) -> bool:
    """Whether sums are 64 bits wide and rescaled with one rounding: of int16, unless the bias is int32."""
    wide_bias = len(node.inputs) < 3 or graph.type(node.inputs[2]).dtype is DType.INT64
    return graph.type(node.outputs[0]).dtype is DType.INT16 and wide_bias


def output_range(node: Node, graph: Graph) -> tuple[int, int]:
    """The integer bounds of the output: the type's range and the fused activation's."""
    return activation_limits(node, graph.type(node.outputs[0]))


def requantize(node: Node, graph: Graph, acc: Array) -> Array:
    """The output's elements from accumulators [..., C] by the node's multipliers, zero point and clamp."""
    multiplier, shift = requantization(node, graph)
    lo, hi = output_range(node, graph)
    y = graph.type(node.outputs[0])
    rescale = saturating_mbqm64 if rounds_once(node, graph) else saturating_mbqm
    return np.clip(rescale(acc, multiplier, shift) + y.zero_point, lo, hi).astype(y.dtype.numpy)


def quantize_weighted(
    node: Node, graph: Graph, types: Mapping[str, TensorType], axis: int
) -> tuple[Node, dict[str, Tensor]]:
    """Integer constants of an operator with (x, weights, bias), per channel of the weights' `axis`. The bias is int64
    with int16 activations, though it never leaves int32."""
    x, w, b = node.inputs
    step, given = types[x].scale, graph.type(w).quant
    try:
        weights, bias, scales = quantize_weights(
            graph.constant(w), graph.constant(b), step, axis, given.scale if given else None
        )
    except ValueError as error:
        fix = "check the weights, and that the data are scaled as in training"
        raise ModelError(
            "numbers too far apart", [Fault(node.origin or node.name, str(error), fix)]
        ) from None
    zeros = (0,) * len(scales)
    kind = DType.INT64 if types[x].dtype is DType.INT16 else DType.INT32
    bias_scales = tuple(types[x].scale * s for s in scales)
    return node, {
        w: Tensor(w, TensorType(weights.shape, DType.INT8, Quant(scales, zeros, axis)), weights),
        b: Tensor(b, TensorType(bias.shape, kind, Quant(bias_scales, zeros, 0)), bias.astype(kind.numpy)),
    }


class Conv2D(Op):
    name = "conv2d"
    restrictions = (
        "1-D and 2-D",
        "constant weights and bias",
        "TFLite: weights with zero point 0, a batch of 1",
    )
    onnx = {"Conv": import_conv}
    tflite = {"CONV_2D": import_tflite_conv, "DEPTHWISE_CONV_2D": import_tflite_conv}

    def infer(self, node: Node, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        x = nhwc_shape(node, inputs[0].shape)
        c = x[3]
        o, kh, kw, ci = inputs[1].shape
        groups = node.attrs["groups"]
        if c != ci * groups or o % groups:
            raise ValueError(f"{c} channels do not fit weights {list(inputs[1].shape)} in {groups} groups")
        return (TensorType((*window_shape(node, x, (kh, kw)), o)),)

    def _accumulate(
        self, node: Node, x: Array, w: Array, out: tuple[int, int], dot: Dot = lambda x, w: x @ w.T
    ) -> Array:
        """Sums of products [N, Ho, Wo, O] in the arrays' dtype; x with padding 0."""
        x = x.transpose(0, 2, 3, 1) if channels_first(node) else x
        o, kh, kw, ci = w.shape
        groups = node.attrs["groups"]
        patches = window_patches(x, node, (kh, kw), out, 0)
        per_group = o // groups
        sums = [
            dot(
                patches[..., g * ci : (g + 1) * ci].reshape(*patches.shape[:3], kh * kw * ci),
                w[g * per_group : (g + 1) * per_group].reshape(per_group, -1),
            )
            for g in range(groups)
        ]
        return np.concatenate(sums, axis=-1) if groups > 1 else sums[0]

    def float_reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        x, w, b = xs
        _, ho, wo, _ = graph.type(node.outputs[0]).shape
        return (clamp_array(self._accumulate(node, x, w, (ho, wo)) + b, clamp_of(node)),)

    def float_exact(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        """The sum of the products in the order of the weights (kh, kw, C), plus the bias, clamped; or
        ops/dynamic_range."""
        x, w, b = xs
        _, ho, wo, _ = graph.type(node.outputs[0]).shape
        if is_dynamic(node, graph):
            q, scale = quantized_input(node, graph, x)
            sums = self._accumulate(node, q.astype(np.float64), w.astype(np.float64), (ho, wo)).astype(
                np.int64
            )
            return (rescaled(node, graph, sums, scale, b),)
        return (clamp_exact(self._accumulate(node, x, w, (ho, wo), dot_exact) + b, clamp_of(node)),)

    def reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        x, w, b = xs
        _, ho, wo, _ = graph.type(node.outputs[0]).shape
        # float64 sums of integers below 2^53 are exact, and much faster than numpy's integer products
        centred = x.astype(np.float64) - graph.type(node.inputs[0]).zero_point
        acc = self._accumulate(node, centred, w.astype(np.float64), (ho, wo)).astype(np.int64) + b
        return (requantize(node, graph, acc),)

    def quantize(
        self, node: Node, graph: Graph, types: Mapping[str, TensorType]
    ) -> tuple[Node, dict[str, Tensor]]:
        return quantize_weighted(node, graph, types, axis=0)

    def macs(self, node: Node, graph: Graph) -> int:
        return graph.type(node.outputs[0]).elements * int(np.prod(graph.type(node.inputs[1]).shape[1:]))
