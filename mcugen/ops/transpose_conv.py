"""transpose_conv: x [N, H, W, C], weights [O, kh, kw, C/groups], bias [O] -> [N, Ho, Wo, O].

Every input element adds its filter to the output around (row * stride - pad). Attributes: strides (h, w), pads
(top, left, bottom, right), groups, clamp (lo, hi). Ho = (H - 1) * stride + kh - top - bottom; bottom and right may
be negative: rows and columns that no input reaches. Integer form: semantics.md, TRANSPOSE_CONV (sums and
requantization as a convolution's). 1-D ones are imported with W = 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mcugen.ir import Array, Graph, Node, Tensor, TensorType
from mcugen.ops.conv2d import quantize_weighted, requantize, tflite_weights
from mcugen.ops.op import Op, clamp_array, clamp_exact, clamp_of
from mcugen.ops.wide_weights import check_narrow

if TYPE_CHECKING:
    from mcugen.read.onnx_import import Importer, OnnxNode
    from mcugen.read.tflite_import import TfliteImporter, TfliteNode


def import_conv_transpose(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    """ONNX ConvTranspose, 1-D and 2-D, as a channels-last operator between two transposes."""
    weights = ctx.constant_input(n, 1, "weights")  # [C, O/groups, kh, kw]
    spatial, groups = weights.ndim - 2, int(n.attr("group", 1))
    if spatial not in (1, 2):
        ctx.unsupported(n, f"{spatial}-D convolution is not supported", "use 1-D or 2-D convolutions")
    shape = ctx.shape(n.inputs[0])
    if len(shape) != weights.ndim or groups < 1 or weights.shape[0] % groups or shape[1] != weights.shape[0]:
        ctx.invalid(
            n, f"an input {list(shape)} does not fit weights {list(weights.shape)} in {groups} groups"
        )
    filters = weights.shape[1] * groups
    bias = ctx.constant_input(n, 2, "bias") if n.has_input(2) else np.zeros(filters, np.float32)
    if bias.shape != (filters,):
        ctx.invalid(n, f"bias {list(bias.shape)} does not fit {filters} output channels")
    strides, pads = _window(ctx, n, shape[2:], weights.shape[2:])

    def turn(w: Array) -> Array:
        w = w[:, :, :, None] if spatial == 1 else w
        split = w.reshape(groups, -1, *w.shape[1:])  # [g, C/g, O/g, kh, kw]
        return split.transpose(0, 2, 3, 4, 1).reshape(filters, *w.shape[2:], -1)

    quant = ctx.scales(n, 1, 0, turn)
    check_narrow(ctx, n, turn(weights), quant)
    kernel = ctx.add(n, turn(weights), quant)
    attrs = {"strides": strides, "pads": pads, "groups": groups}
    x = ctx.to_channels_last(n, n.inputs[0])
    y = ctx.emit(n, "transpose_conv", [x, kernel, ctx.add(n, bias)], attrs)
    return [ctx.from_channels_last(n, y, rank=spatial + 2)]


def _window(
    ctx: Importer, n: OnnxNode, spatial: Sequence[int], kernel: Sequence[int]
) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
    """Strides (h, w) and pads (top, left, bottom, right) in 2-D form."""
    window = ctx.window(n, spatial, kernel)  # checks the attributes; its pads are those of a convolution
    if window.dilations != (1, 1):
        ctx.unsupported(n, "dilations are not supported", "export with dilation 1")
    rank = len(spatial)
    given = {
        name: _numbers(ctx, n, name, length)
        for name, length in (("pads", 2 * rank), ("output_padding", rank), ("output_shape", rank))
    }
    auto = n.attr("auto_pad", "NOTSET") or "NOTSET"
    before, after = [], []
    for i, size in enumerate(spatial):
        extra = given["output_padding"][i] if given["output_padding"] else 0
        full = (size - 1) * window.strides[i] + kernel[i]
        if given["output_shape"] or auto.startswith("SAME"):
            # output_shape may count the axes before the spatial ones, too
            out = given["output_shape"][i] if given["output_shape"] else size * window.strides[i]
            total = max(full + extra - out, 0)
            before.append(total // 2 if auto == "SAME_UPPER" else total - total // 2)
        else:
            b, a = (
                (given["pads"][i], given["pads"][rank + i]) if given["pads"] and auto == "NOTSET" else (0, 0)
            )
            before.append(b)
            out = full + extra - b - a
        after.append(full - before[-1] - out)
    top, left, bottom, right = (*before, 0, *after, 0) if rank == 1 else (*before, *after)
    return window.strides, (top, left, bottom, right)


def _numbers(ctx: Importer, n: OnnxNode, name: str, length: int) -> tuple[int, ...]:
    """An attribute with a number per axis, () without it. output_shape may name batch and channels, too."""
    values = tuple(int(v) for v in n.attr(name) or ())
    if name == "output_shape" and len(values) == length + 2:
        values = values[2:]
    if values and (len(values) != length or min(values) < 0 or max(values) > 1 << 16):
        ctx.invalid(n, f"{name} {list(values)} does not fit the kernel")
    return values


def import_tflite_transpose_conv(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    """TFLite TRANSPOSE_CONV: inputs are the output's shape, weights, x and perhaps a bias."""
    x, y = n.inputs[2], n.outputs[0]
    w, b = tflite_weights(ctx, replace(n, inputs=(x, n.inputs[1], *n.inputs[3:])), 0)
    kernel = ctx.shape(w)
    if len(kernel) != 4 or 0 in kernel or len(ctx.shape(y)) != 4:
        ctx.invalid(n, f"weights {list(kernel)} do not fit an output {list(ctx.shape(y))}")
    height, width, _ = ctx.image(n, x)
    strides = (int(n.options.get("stride_h", 1)), int(n.options.get("stride_w", 1)))
    spatial = ctx.shape(y)[1:3]
    top, left, _, _ = ctx.pads(n, spatial, kernel[1:3], strides, (1, 1))
    bottom, right = (
        (size - 1) * stride + k - pad - out
        for size, stride, k, pad, out in zip(
            (height, width), strides, kernel[1:3], (top, left), spatial, strict=True
        )
    )
    attrs = {"strides": strides, "pads": (top, left, bottom, right), "groups": 1, "clamp": ctx.clamp(n)}
    return [ctx.emit(n, "transpose_conv", [x, w, b], attrs)]


class TransposeConv(Op):
    name = "transpose_conv"
    restrictions = (
        "1-D and 2-D, without dilations",
        "constant weights and bias",
        "TFLite: weights with zero point 0, a batch of 1",
    )
    onnx = {"ConvTranspose": import_conv_transpose}
    tflite = {"TRANSPOSE_CONV": import_tflite_transpose_conv}

    def infer(self, node: Node, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        x, w, b = (t.shape for t in inputs)
        groups = node.attrs["groups"]
        if len(x) != 4 or len(w) != 4 or x[3] != w[3] * groups or w[0] % groups or b != w[:1]:
            raise ValueError(f"weights {list(w)} and bias {list(b)} do not fit an input {list(x)}")
        (sh, sw), (top, left, bottom, right) = node.attrs["strides"], node.attrs["pads"]
        height = (x[1] - 1) * sh + w[1] - top - bottom
        width = (x[2] - 1) * sw + w[2] - left - right
        if min(height, width) < 1 or min(top, left) < 0:
            raise ValueError(f"an output of {height}x{width}")
        return (TensorType((x[0], height, width, w[0])),)

    def _accumulate(self, node: Node, graph: Graph, x: Array, w: Array) -> Array:
        """Sums of products [N, Ho, Wo, O] in the arrays' dtype, tap by tap."""
        _, ho, wo, o = graph.type(node.outputs[0]).shape
        (sh, sw), (top, left, _, _) = node.attrs["strides"], node.attrs["pads"]
        (n, h, width, _), (_, kh, kw, ci) = x.shape, w.shape
        groups = node.attrs["groups"]
        rows, columns = max((h - 1) * sh + kh, top + ho), max((width - 1) * sw + kw, left + wo)
        full = np.zeros((n, rows, columns, o), x.dtype)
        split = x.reshape(n, h, width, groups, ci)
        filters = w.reshape(groups, o // groups, kh, kw, ci)
        for i in range(kh):
            for j in range(kw):
                part = np.einsum("nhwgc,goc->nhwgo", split, filters[:, :, i, j], optimize=True)
                full[:, i : i + h * sh : sh, j : j + width * sw : sw][:, :h, :width] += part.reshape(
                    n, h, width, o
                )
        return full[:, top : top + ho, left : left + wo]

    def float_reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        x, w, b = xs
        return (clamp_array(self._accumulate(node, graph, x, w) + b, clamp_of(node)),)

    def float_exact(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        """The sum of the products in the order of the inputs (rows, columns, C), plus the bias, clamped."""
        x, w, b = xs
        with np.errstate(all="ignore"):
            y = self._sum_in_order(node, graph, x, w.astype(np.float32)) + b
        return (clamp_exact(y, clamp_of(node)),)

    def _sum_in_order(self, node: Node, graph: Graph, x: Array, w: Array) -> Array:
        """As _accumulate, each output's products one after the other: earlier inputs meet later taps."""
        _, ho, wo, o = graph.type(node.outputs[0]).shape
        (sh, sw), (top, left, _, _) = node.attrs["strides"], node.attrs["pads"]
        (n, h, width, _), (_, kh, kw, ci) = x.shape, w.shape
        groups = node.attrs["groups"]
        rows, columns = max((h - 1) * sh + kh, top + ho), max((width - 1) * sw + kw, left + wo)
        full = np.zeros((n, rows, columns, groups, o // groups), x.dtype)
        split = x.reshape(n, h, width, groups, ci, 1)
        filters = w.reshape(groups, o // groups, kh, kw, ci)
        for i in reversed(range(kh)):
            for j in reversed(range(kw)):
                part = full[:, i : i + h * sh : sh, j : j + width * sw : sw][:, :h, :width]
                for c in range(ci):
                    part += split[..., c, :] * filters[:, :, i, j, c]
        return full.reshape(n, rows, columns, o)[:, top : top + ho, left : left + wo]

    def reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        x, w, b = xs
        # float64 sums of integers below 2^53 are exact, and much faster than numpy's integer products
        centred = x.astype(np.float64) - graph.type(node.inputs[0]).zero_point
        acc = self._accumulate(node, graph, centred, w.astype(np.float64)).astype(np.int64) + b
        return (requantize(node, graph, acc),)

    def quantize(
        self, node: Node, graph: Graph, types: Mapping[str, TensorType]
    ) -> tuple[Node, dict[str, Tensor]]:
        return quantize_weighted(node, graph, types, axis=0)

    def macs(self, node: Node, graph: Graph) -> int:
        x, (o, kh, kw, ci) = graph.type(node.inputs[0]), graph.type(node.inputs[1]).shape
        return x.elements // x.shape[3] * o * kh * kw * ci
