"""transpose_conv in plain C for every core: outputs gather, four channels at a time, no scratch, row range."""

from __future__ import annotations

import numpy as np

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import Graph, Node
from mcugen.kernels.conv2d_portable import accumulator_bound, output_fields, reject_overflow
from mcugen.kernels.kernel import Call, Kernel, Tables, Value, row_access


def transpose_conv_access(node: Node, graph: Graph) -> tuple[Access | None, ...]:
    """Each output row from the input rows that reach it."""
    x, y = graph.type(node.inputs[0]), graph.type(node.outputs[0])
    _, h, w, c = x.shape
    _, ho, wo, o = y.shape
    place = np.arange(ho, dtype=np.int64) + node.attrs["pads"][0]
    stride = node.attrs["strides"][0]
    first = (place - graph.type(node.inputs[1]).shape[1]) // stride + 1
    rows = row_access(h, w * c * x.dtype.size, ho, wo * o * y.dtype.size, first, place // stride + 1)
    return (rows, None, None)


def transpose_conv_fields(node: Node, graph: Graph) -> dict[str, Value]:
    """Descriptor fields: extents and window of a transposed convolution."""
    _, h, w, c = graph.type(node.inputs[0]).shape
    _, _, wo, o = graph.type(node.outputs[0]).shape
    _, kh, kw, group_in = graph.type(node.inputs[1]).shape
    groups = node.attrs["groups"]
    return {
        "x_height": h,
        "x_width": w,
        "x_channels": c,
        "y_width": wo,
        "y_channels": o,
        "kernel_height": kh,
        "kernel_width": kw,
        "groups": groups,
        "group_in": group_in,
        "group_out": o // groups,
        "stride_h": node.attrs["strides"][0],
        "stride_w": node.attrs["strides"][1],
        "pad_top": node.attrs["pads"][0],
        "pad_left": node.attrs["pads"][1],
    }


def taps_that_reach(x: int, kernel: int, y: int, stride: int, pad: int) -> int:
    """How many taps reach an input along one axis, over all places of the output."""
    at = np.arange(x)[:, None] * stride - pad + np.arange(kernel)
    return int(np.count_nonzero((at >= 0) & (at < y)))


class TransposeConvPortable(Kernel):
    name = "transpose_conv_portable"
    ops = ("transpose_conv",)
    limits = ("sums that fit 32 bits, proved from the weights",)
    headers = ("mcugen_dot.h", "mcugen_output.h", "mcugen_window.h")

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        return reject_overflow(node, graph)

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        """As measured on the Cortex-M4, to 5 % (per pixel, block of four channels, tap of one, product, output)."""
        _, h, w, _ = graph.type(node.inputs[0]).shape
        _, ho, wo, o = graph.type(node.outputs[0]).shape
        _, kh, kw, group_in = graph.type(node.inputs[1]).shape
        groups, pads = node.attrs["groups"], node.attrs["pads"]
        blocks = -(-o // groups // 4) * groups
        axes = zip((h, w), (kh, kw), (ho, wo), node.attrs["strides"], pads[:2], strict=True)
        rows, columns = (taps_that_reach(*axis) for axis in axes)
        taps = rows * columns * blocks
        pixel = 22.0 * groups + 94.0 * blocks + 38.0 * o
        return float(ho * wo * pixel + taps * (75.0 + 18.0 * group_in))

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return transpose_conv_access(node, graph)

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (f"|accumulator| <= {accumulator_bound(node, graph):,}, proved from the weights",)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        fields: dict[str, Value] = {
            "weights": tables.add(f"{layer}_weights", graph.constant(node.inputs[1])),
            **output_fields(node, graph, tables, layer),
            **transpose_conv_fields(node, graph),
        }
        rows = graph.type(node.outputs[0]).shape[1]
        return [Call(fields, (node.inputs[0],), node.outputs[0], rows=rows)]
