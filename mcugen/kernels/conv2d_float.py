"""conv2d and fully_connected in float32 for every core, with weights stored as float32 or float16."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import DType, Graph, Node
from mcugen.kernels.conv2d_portable import Geometry, geometry
from mcugen.kernels.kernel import Call, Kernel, Tables, Value, row_access
from mcugen.ops.op import clamp_of


def spatial_fields(g: Geometry) -> dict[str, Value]:
    """Descriptor fields: extents and window of a convolution that reads channels last."""
    return {
        "x_height": g.x[0],
        "x_width": g.x[1],
        "x_channels": g.x_channels,
        "y_width": g.y[1],
        "y_channels": g.y_channels,
        "kernel_height": g.kernel[0],
        "kernel_width": g.kernel[1],
        "groups": g.groups,
        "group_in": g.x_channels // g.groups,
        "group_out": g.y_channels // g.groups,
        "stride_h": g.strides[0],
        "stride_w": g.strides[1],
        "dilation_h": g.dilations[0],
        "dilation_w": g.dilations[1],
        "pad_top": g.pads[0],
        "pad_left": g.pads[1],
    }


def weighted_fields(node: Node, graph: Graph, tables: Tables, layer: str) -> dict[str, Value]:
    """Descriptor fields of every float kernel with weights: those, the bias and the clamp."""
    lo, hi = clamp_of(node)
    return {
        "weights": tables.add(f"{layer}_weights", graph.constant(node.inputs[1])),
        "bias": tables.add(f"{layer}_bias", graph.constant(node.inputs[2])),
        "lo": lo,
        "hi": hi,
    }


class Conv2DFloat32(Kernel):
    name = "conv2d_float32"
    ops: ClassVar[tuple[str, ...]] = ("conv2d", "fully_connected")
    types = ((DType.FLOAT32, DType.FLOAT32),)
    headers: ClassVar[tuple[str, ...]] = ("mcugen_float.h", "mcugen_wide.h", "mcugen_window.h")
    template = "conv2d_float"
    context = {"weight": "float32", "ctype": "float"}
    stored = DType.FLOAT32
    limits: ClassVar[tuple[str, ...]] = ("float32 weights",)

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        weights = graph.type(node.inputs[1]).dtype
        return None if weights is self.stored else f"it is for {self.stored} weights, not {weights}"

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        g = geometry(node, graph)
        products = g.kernel[0] * g.kernel[1] * g.x_channels // g.groups
        return (9.0 * products + 60.0) * g.y[0] * g.y[1] * g.y_channels

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        g = geometry(node, graph)
        lo = np.arange(g.y[0], dtype=np.int64) * g.strides[0] - g.pads[0]
        hi = lo + (g.kernel[0] - 1) * g.dilations[0] + 1
        x_row, y_row = 4 * g.x[1] * g.x_channels, 4 * g.y[1] * g.y_channels
        return (row_access(g.x[0], x_row, g.y[0], y_row, lo, hi), None, None)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        g = geometry(node, graph)
        fields = {**weighted_fields(node, graph, tables, layer), **spatial_fields(g)}
        return [Call(fields, (node.inputs[0],), node.outputs[0], rows=g.y[0])]


class Conv2DFloat16(Conv2DFloat32):
    name = "conv2d_float16"
    context = {"weight": "float16", "ctype": "uint16_t"}
    stored = DType.FLOAT16
    limits = ("float16 weights",)
