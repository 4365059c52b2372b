"""max_pool2d: x [N, H, W, C] -> [N, Ho, Wo, C], the largest value under a window.

Attributes: kernel (h, w), strides, dilations, pads (top, left, bottom, right; never the largest),
clamp (lo, hi). Same quantization in and out. float32: a NaN is passed over; under a window of nothing else, -inf.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mcugen.ir import Array, Attr, Graph, Node, TensorType
from mcugen.ops.conv2d import output_range, window_patches, window_shape
from mcugen.ops.op import Op, clamp_array, clamp_exact, clamp_of, limits

if TYPE_CHECKING:
    from mcugen.read.onnx_import import Importer, OnnxNode, Window
    from mcugen.read.tflite_import import TfliteImporter, TfliteNode

MAX_CELLS = 1 << 23  # a window's int8 sum must stay inside int32


def pool_window(ctx: Importer, n: OnnxNode) -> Window:
    """The window of an ONNX pooling node."""
    return ctx.window(n, ctx.shape(n.inputs[0])[2:], n.attr("kernel_shape"))


def import_max_pool(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    if any(n.outputs[1:]):
        ctx.unsupported(n, "the second output (Indices) is not supported", "export with return_indices=False")
    window = pool_window(ctx, n)
    attrs = dict(kernel=window.kernel, strides=window.strides, dilations=window.dilations, pads=window.pads)
    x = n.inputs[0]
    y = ctx.emit(n, "max_pool2d", [ctx.to_channels_last(n, x)], attrs)
    return [ctx.from_channels_last(n, y, rank=len(ctx.shape(x)))]


def import_global_max_pool(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    x = n.inputs[0]
    nhwc = ctx.to_channels_last(n, x)
    kernel = ctx.shape(nhwc)[1:3]
    attrs = dict(kernel=kernel, strides=(1, 1), dilations=(1, 1), pads=(0, 0, 0, 0))
    return [ctx.from_channels_last(n, ctx.emit(n, "max_pool2d", [nhwc], attrs), rank=len(ctx.shape(x)))]


def tflite_pool(ctx: TfliteImporter, n: TfliteNode) -> dict[str, Attr]:
    """The attributes of TFLite's poolings; what they read and write keeps its numbers."""
    if ctx.is_quantized(n.outputs[0]):
        ctx.require_integers(n, n.inputs[0], n.outputs[0])
    kernel = (n.options["filter_height"], n.options["filter_width"])
    strides = (n.options["stride_h"], n.options["stride_w"])
    pads = ctx.pads(n, ctx.image(n, n.inputs[0])[:2], kernel, strides, (1, 1))
    return dict(kernel=kernel, strides=strides, dilations=(1, 1), pads=pads, clamp=ctx.clamp(n))


def import_tflite_max_pool(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    return [ctx.emit(n, "max_pool2d", [n.inputs[0]], tflite_pool(ctx, n))]


def taps_inside(
    begin: int, end: int, out: int, kernel: int, stride: int, dilation: int, before: int
) -> Array:
    """How many of a window's taps lie at begin <= position < end, per output position: int64 [out]."""
    start = np.arange(out, dtype=np.int64) * stride - before
    first = np.maximum(-((start - begin) // dilation), 0)  # rounded up
    last = np.minimum(-((start - end) // dilation), kernel)
    return np.asarray(np.maximum(last - first, 0))


def infer_pool(node: Node, x: TensorType) -> TensorType:
    """Output type of a pooling operator; ValueError if a window is too large or sees padding alone."""
    if len(x.shape) != 4:
        raise ValueError(f"pooling needs an input of 4 axes, not {list(x.shape)}")
    kernel = node.attrs["kernel"]
    if math.prod(kernel) > MAX_CELLS:
        raise ValueError(f"a pooling window of {kernel[0]}x{kernel[1]} cells is too large")
    n, height, width = window_shape(node, x.shape, kernel)
    for axis, out in enumerate((height, width)):
        stride, dilation = node.attrs["strides"][axis], node.attrs["dilations"][axis]
        size = x.shape[1 + axis]
        if taps_inside(0, size, out, kernel[axis], stride, dilation, node.attrs["pads"][axis]).min() < 1:
            raise ValueError("a pooling window lies wholly inside the padding")
    return TensorType((n, height, width, x.shape[3]))


def taps_in_order(x: Array, node: Node, graph: Graph, fill: float) -> Iterator[Array]:
    """Views [N, Ho, Wo, C] of the padded input: what one tap of the window sees, row by row of the window."""
    _, ho, wo, _ = graph.type(node.outputs[0]).shape
    patches = window_patches(x, node, node.attrs["kernel"], (ho, wo), fill)
    for i, j in itertools.product(*(range(k) for k in node.attrs["kernel"])):
        yield patches[:, :, :, i, j]


class MaxPool2D(Op):
    name = "max_pool2d"
    restrictions = (
        "1-D and 2-D windows of at most 2^23 cells, none of them wholly inside the padding",
        "ONNX: no second output (Indices)",
        "TFLite: a batch of 1",
    )
    onnx = {"MaxPool": import_max_pool, "GlobalMaxPool": import_global_max_pool}
    tflite = {"MAX_POOL_2D": import_tflite_max_pool}

    def infer(self, node: Node, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        return (infer_pool(node, inputs[0]),)

    def same_quant(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (node.inputs[0], node.outputs[0])

    def _largest(self, node: Node, graph: Graph, x: Array, fill: float) -> Array:
        _, ho, wo, _ = graph.type(node.outputs[0]).shape
        return np.asarray(window_patches(x, node, node.attrs["kernel"], (ho, wo), fill).max(axis=(3, 4)))

    def float_reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        return (clamp_array(self._largest(node, graph, xs[0], -math.inf), clamp_of(node)),)

    def float_exact(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        """From -inf on, what is larger, in the order of the window; then clamped."""
        largest = np.full((len(xs[0]), *graph.type(node.outputs[0]).shape[1:]), -np.inf, np.float32)
        for values in taps_in_order(xs[0], node, graph, -math.inf):
            largest = np.where(values > largest, values, largest)
        return (clamp_exact(largest, clamp_of(node)),)

    def reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        dtype = graph.type(node.outputs[0]).dtype
        largest = self._largest(node, graph, xs[0], limits(dtype)[0])
        return (np.clip(largest, *output_range(node, graph)).astype(dtype.numpy),)
