"""depthwise_conv2d in plain C for every core: four channels at a time, no scratch, row range."""

from __future__ import annotations

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import Graph, Node
from mcugen.kernels.conv2d_portable import (
    accumulator_bound,
    output_fields,
    reject_overflow,
    taps_inside,
)
from mcugen.kernels.kernel import Call, Kernel, Tables, Value, window_row_access


def depthwise_fields(node: Node, graph: Graph) -> dict[str, Value]:
    """Descriptor fields: extents and window."""
    _, h, w, c = graph.type(node.inputs[0]).shape
    _, _, wo, o = graph.type(node.outputs[0]).shape
    _, kh, kw, _ = graph.type(node.inputs[1]).shape
    top, left, _, _ = node.attrs["pads"]
    (sh, sw), (dh, dw) = node.attrs["strides"], node.attrs["dilations"]
    return {
        "x_height": h,
        "x_width": w,
        "x_channels": c,
        "y_width": wo,
        "depth_multiplier": o // c,
        "kernel_height": kh,
        "kernel_width": kw,
        "stride_h": sh,
        "stride_w": sw,
        "dilation_h": dh,
        "dilation_w": dw,
        "pad_top": top,
        "pad_left": left,
    }


class DepthwiseConv2DPortable(Kernel):
    name = "depthwise_conv2d_portable"
    ops = ("depthwise_conv2d",)
    limits = ("sums that fit 32 bits, proved from the weights",)
    headers = ("mcugen_output.h", "mcugen_window.h")

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        return reject_overflow(node, graph)

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        """As measured on the Cortex-M4, to 8 % (per pixel, block of four channels, row of the kernel, tap)."""
        _, height, width, channels = graph.type(node.outputs[0]).shape
        steps = (node.attrs["strides"], node.attrs["dilations"], node.attrs["pads"][:2])
        shapes = (graph.type(i).shape[1:3] for i in (*node.inputs[:2], node.outputs[0]))
        rows, columns = (taps_inside(*axis) for axis in zip(*shapes, *steps, strict=True))
        single = channels != graph.type(node.inputs[0]).shape[3]  # one channel at a time
        blocks = channels if single else -(-channels // 4)
        block = (224.0 + 31.0 if single else 224.0 + 4 * 31.0) * height * width + 33.0 * rows * width
        return 236.0 * height * width + (block + (10.0 if single else 25.0) * rows * columns) * blocks

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return (window_row_access(node, graph, graph.type(node.inputs[1]).shape[1]), None, None)

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (f"|accumulator| <= {accumulator_bound(node, graph):,}, proved from the weights",)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        fields: dict[str, Value] = {
            "weights": tables.add(f"{layer}_weights", graph.constant(node.inputs[1])),
            **output_fields(node, graph, tables, layer),
            **depthwise_fields(node, graph),
        }
        rows = graph.type(node.outputs[0]).shape[1]
        return [Call(fields, (node.inputs[0],), node.outputs[0], rows=rows)]
