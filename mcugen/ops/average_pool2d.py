"""average_pool2d: x [N, H, W, C] -> [N, Ho, Wo, C], the mean under a window; same quantization in and out.

Attributes: kernel (h, w), strides, dilations, pads (top, left, bottom, right), count_include_pad,
counted_pads (as pads, by default the same), clamp (lo, hi). The divisor counts the cells inside the image
and, with count_include_pad, also the padding of counted_pads (real 0, the zero point); pads may be larger
where ceil_mode needs it, and such cells count for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mcugen.ir import Array, Graph, Node, TensorType
from mcugen.ops.conv2d import output_range, window_patches
from mcugen.ops.max_pool2d import infer_pool, pool_window, taps_in_order, taps_inside, tflite_pool
from mcugen.ops.op import Op, clamp_array, clamp_exact, clamp_of

if TYPE_CHECKING:
    from mcugen.read.onnx_import import Importer, OnnxNode
    from mcugen.read.tflite_import import TfliteImporter, TfliteNode


def import_average_pool(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    window = pool_window(ctx, n)
    attrs = dict(
        kernel=window.kernel,
        strides=window.strides,
        dilations=window.dilations,
        pads=window.pads,
        count_include_pad=bool(n.attr("count_include_pad", 0)),
        counted_pads=window.declared_pads,
    )
    x = n.inputs[0]
    y = ctx.emit(n, "average_pool2d", [ctx.to_channels_last(n, x)], attrs)
    return [ctx.from_channels_last(n, y, rank=len(ctx.shape(x)))]


def import_tflite_average_pool(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    """TFLite AVERAGE_POOL_2D, which counts the cells inside the image alone."""
    attrs = {**tflite_pool(ctx, n), "count_include_pad": False}
    return [ctx.emit(n, "average_pool2d", [n.inputs[0]], attrs)]


def counted_area(node: Node, graph: Graph) -> tuple[int, int, int, int]:
    """First and one past the last row, then column, of the input's coordinates whose cells count."""
    _, h, w, _ = graph.type(node.inputs[0]).shape
    if not node.attrs["count_include_pad"]:
        return 0, h, 0, w
    top, left, bottom, right = node.attrs.get("counted_pads", node.attrs["pads"])
    return -top, h + bottom, -left, w + right


def cells(node: Node, graph: Graph, area: tuple[int, int, int, int]) -> Array:
    """Cells of each window inside an area (rows begin, end, columns begin, end): int64 [Ho, Wo, 1]."""
    _, ho, wo, _ = graph.type(node.outputs[0]).shape
    (kh, kw), (sh, sw) = node.attrs["kernel"], node.attrs["strides"]
    (dh, dw), (top, left, _, _) = node.attrs["dilations"], node.attrs["pads"]
    rows = taps_inside(area[0], area[1], ho, kh, sh, dh, top)
    columns = taps_inside(area[2], area[3], wo, kw, sw, dw, left)
    return np.asarray(rows[:, np.newaxis, np.newaxis] * columns[:, np.newaxis])


class AveragePool2D(Op):
    name = "average_pool2d"
    restrictions = (
        "1-D and 2-D windows of at most 2^23 cells, none of them wholly inside the padding",
        "TFLite: a batch of 1",
    )
    onnx = {"AveragePool": import_average_pool}
    tflite = {"AVERAGE_POOL_2D": import_tflite_average_pool}

    def infer(self, node: Node, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        return (infer_pool(node, inputs[0]),)

    def same_quant(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (node.inputs[0], node.outputs[0])

    def _sum(self, node: Node, graph: Graph, x: Array) -> Array:
        _, ho, wo, _ = graph.type(node.outputs[0]).shape
        return np.asarray(window_patches(x, node, node.attrs["kernel"], (ho, wo), 0).sum(axis=(3, 4)))

    def float_reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        divisor = cells(node, graph, counted_area(node, graph)).astype(np.float32)
        return (clamp_array(self._sum(node, graph, xs[0]) / divisor, clamp_of(node)),)

    def float_exact(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        """The sum in the order of the window, divided once by the number of cells, clamped."""
        acc = np.zeros((len(xs[0]), *graph.type(node.outputs[0]).shape[1:]), np.float32)
        divisor = cells(node, graph, counted_area(node, graph)).astype(np.float32)
        with np.errstate(all="ignore"):
            for values in taps_in_order(xs[0], node, graph, 0):
                acc += values
            return (clamp_exact(acc / divisor, clamp_of(node)),)

    def reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        x = graph.type(node.inputs[0])
        lo, hi = output_range(node, graph)
        divisor = cells(node, graph, counted_area(node, graph))
        inside = cells(node, graph, (0, x.shape[1], 0, x.shape[2]))
        acc = self._sum(node, graph, xs[0].astype(np.int64)) + (divisor - inside) * x.zero_point
        rounded = np.sign(acc) * ((np.abs(acc) + divisor // 2) // divisor)
        return (np.clip(rounded, lo, hi).astype(x.dtype.numpy),)
