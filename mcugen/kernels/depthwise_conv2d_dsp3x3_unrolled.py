"""depthwise_conv2d with 3x3 filters as depthwise_conv2d_dsp3x3, for rows so short that a function of their own, without
loop and with all distances in its instructions, is worth its code. Rows at the border walk as there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from mcugen.boards import Board
from mcugen.ir import Graph, Node
from mcugen.kernels.depthwise_conv2d_dsp3x3 import (
    DepthwiseConv2DDsp3x3,
    exact_affine,
    right_padding,
)

MOST_COLUMNS = 8
REACH = 4095  # bytes that an instruction adds to an address


def unrolled(node: Node, graph: Graph) -> dict[str, Any]:
    """What the template prints: distances in bytes of columns (rows 0, 1, 2 of each) and of outputs, from the byte
    behind the first of each."""
    _, _, width, channels = graph.type(node.inputs[0]).shape
    zero_point = graph.type(node.inputs[0]).zero_point

    def column(j: int) -> list[int]:
        return [(i * width + j) * channels - 1 for i in range(3)]

    pairs = [
        {"x": column(j) + column(j + 1), "y": [(j - 1) * channels - 1, j * channels - 1]}
        for j in range(1, width - 1, 2)
    ]
    tail = {"x": column(width - 1), "y": (width - 2) * channels - 1} if width % 2 == 0 else None
    both = zero_point & 0xFFFF if zero_point >= 0 else ~zero_point & 0xFFFF
    return {
        "width": width,
        "channels": channels,
        "first": column(0),
        "pairs": pairs,
        "tail": tail,
        "last": (width - 1) * channels - 1,
        "padding": f"{'mov' if zero_point >= 0 else 'mvn'} r4, #{both << 16 | both:#010x}",
    }


class DepthwiseConv2DDsp3x3Unrolled(DepthwiseConv2DDsp3x3):
    name = "depthwise_conv2d_dsp3x3_unrolled"
    template = "depthwise_conv2d_dsp3x3"
    limits: ClassVar[tuple[str, ...]] = (
        f"3x3 filters, strides of 1 in a row of 3 to {MOST_COLUMNS} columns, one column of padding on either side",
        "rows that are neighbours, three of them in less than 4,096 bytes",
        "one output channel per input channel, a requantization by one multiplication",
    )

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        _, _, width, channels = graph.type(node.inputs[0]).shape
        padded = node.attrs["pads"][1] == right_padding(node, graph) == 1
        if super().reject(node, graph, board) is not None or node.attrs["strides"][1] != 1 or not padded:
            return "not 3x3 filters with a stride of 1 and one column of padding on either side"
        if node.attrs["dilations"][0] != 1 or not 3 <= width <= MOST_COLUMNS or 3 * width * channels > REACH:
            return "rows are too long"
        if exact_affine(node, graph) is None:
            return "no requantization by one multiplication"
        return None

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        _, rows, width, channels = graph.type(node.outputs[0]).shape
        inner = int(max(rows - sum(node.attrs["pads"][::2]), 0))
        unrolled_rows: float = inner * (200.0 + channels * (23.0 + 15.6 * width))
        return unrolled_rows + super().cycles(node, graph, board) * (rows - inner) / rows

    def variant(self, node: Node, graph: Graph) -> tuple[str, Mapping[str, Any]]:
        _, context = super().variant(node, graph)
        fixed = unrolled(node, graph)
        zero_point = graph.type(node.inputs[0]).zero_point
        sign = "m" if zero_point < 0 else ""
        name = f"{self.name}_w{fixed['width']}_c{fixed['channels']}_z{sign}{abs(zero_point)}"
        return name, {**context, "fixed": fixed}
