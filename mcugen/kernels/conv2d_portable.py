"""conv2d and fully_connected in plain C for every core: four output channels at a time, no scratch, row range."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.fixed import INT32_MAX
from mcugen.ir import Graph, Node
from mcugen.kernels.kernel import Call, Kernel, Tables, Value, row_access
from mcugen.ops.conv2d import channels_first, output_range, requantization
from mcugen.ops.op import limits


def accumulator_bound(node: Node, graph: Graph) -> int:
    """max over channels of |bias| + sum|w| * max|x - zx|: what |accumulator| cannot exceed (also partial sums)."""
    x, w = graph.type(node.inputs[0]), graph.constant(node.inputs[1])
    assert graph.type(node.inputs[1]).quant is not None
    axis = graph.type(node.inputs[1]).quant.axis or 0  # type: ignore[union-attr]
    others = tuple(i for i in range(w.ndim) if i != axis)
    low, high = limits(x.dtype)
    reach = max(high - x.zero_point, x.zero_point - low)
    sums = np.abs(w.astype(np.int64)).sum(axis=others) * reach
    return int((sums + np.abs(graph.constant(node.inputs[2]).astype(np.int64))).max(initial=0))


def reject_overflow(node: Node, graph: Graph) -> str | None:
    """Why the node's sums are not safe in int32, if they are not: then TFLM's result is undefined, too."""
    bound = accumulator_bound(node, graph)
    return f"its accumulator can reach {bound:,}, which is beyond int32" if bound > INT32_MAX else None


def output_fields(node: Node, graph: Graph, tables: Tables, layer: str) -> dict[str, Value]:
    """Descriptor fields of every kernel with weights: mcugen_output_t and the input's offset."""
    multiplier, shift = requantization(node, graph)
    output = (
        tables.add(f"{layer}_bias", graph.constant(node.inputs[2]).astype(np.int32)),
        tables.add(f"{layer}_multiplier", multiplier.astype(np.int32)),
        tables.add(f"{layer}_shift", shift.astype(np.int8)),
        int(len(multiplier) > 1),
        graph.type(node.outputs[0]).zero_point,
        *output_range(node, graph),
    )
    return {"output": output, "x_offset": -graph.type(node.inputs[0]).zero_point}


@dataclass(frozen=True)
class Geometry:
    """A convolution or a dense layer as one convolution: extents (height, width), pads (top, left)."""

    x: tuple[int, int]
    y: tuple[int, int]
    kernel: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    pads: tuple[int, int] = (0, 0)
    x_channels: int = 1
    y_channels: int = 1
    groups: int = 1
    planes: int = 1  # of the input: channels first, one plane per channel


def geometry(node: Node, graph: Graph) -> Geometry:
    """How the kernel sees a node: a dense layer is a 1x1 convolution with a row per vector of its leading axes."""
    x, y = graph.type(node.inputs[0]), graph.type(node.outputs[0])
    if node.op == "fully_connected":
        channels, depth = graph.type(node.inputs[1]).shape
        rows = y.elements // channels
        return Geometry((rows, 1), (rows, 1), x_channels=depth, y_channels=channels)
    _, kh, kw, _ = graph.type(node.inputs[1]).shape
    _, ho, wo, o = y.shape
    first = channels_first(node)
    h, w, c = (*x.shape[2:], x.shape[1]) if first else x.shape[1:]
    return Geometry(
        (h, w),
        (ho, wo),
        (kh, kw),
        node.attrs["strides"],
        node.attrs["dilations"],
        node.attrs["pads"][:2],
        1 if first else c,
        o,
        node.attrs["groups"],
        c if first else 1,
    )


def taps_inside(x: int, kernel: int, y: int, stride: int, dilation: int, pad: int) -> int:
    """How many taps of a window lie inside of the input along one axis, over all places of the output."""
    at = np.arange(y)[:, None] * stride - pad + np.arange(kernel) * dilation
    return int(np.count_nonzero((at >= 0) & (at < x)))


def x_fields(g: Geometry) -> dict[str, Value]:
    """Descriptor fields: the input's extents."""
    return {"x_height": g.x[0], "x_width": g.x[1], "x_channels": g.x_channels}


def window_fields(g: Geometry) -> dict[str, Value]:
    """Descriptor fields: the output's extents and the window."""
    return {
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


def conv_access(node: Node, graph: Graph) -> Access:
    """Row access of a node that the geometry describes, for elements of any size."""
    g, size = geometry(node, graph), graph.type(node.outputs[0]).dtype.size
    lo = np.arange(g.y[0], dtype=np.int64) * g.strides[0] - g.pads[0]
    hi = lo + (g.kernel[0] - 1) * g.dilations[0] + 1
    rows = row_access(g.x[0], size * g.x[1] * g.x_channels, g.y[0], size * g.y[1] * g.y_channels, lo, hi)
    if g.planes > 1:  # the same rows of every plane, from the first plane's to the last one's
        last = size * (g.planes - 1) * g.x[0] * g.x[1]
        read_end = np.where(rows.read_begin < rows.read_end, rows.read_end + last, rows.read_end)
        rows = replace(rows, read_end=read_end)
    return rows


class Conv2DPortable(Kernel):
    name = "conv2d_portable"
    ops = ("conv2d", "fully_connected")
    limits = ("sums that fit 32 bits, proved from the weights",)
    headers = ("mcugen_dot.h", "mcugen_output.h", "mcugen_window.h")

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        return reject_overflow(node, graph)

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        """As measured on the Cortex-M4, to 1 % (per pixel, block of four channels, run of products, product)."""
        g = geometry(node, graph)
        axes = zip(g.x, g.kernel, g.y, g.strides, g.dilations, g.pads, strict=True)
        rows, columns = (taps_inside(*axis) for axis in axes)
        pixels = g.y[0] * g.y[1] * g.groups
        blocks = -(-g.y_channels // g.groups // 4)
        runs = rows * g.planes * blocks * (g.y[1] if g.dilations[1] == g.groups == 1 else columns * g.groups)
        products = rows * columns * g.planes * blocks * g.x_channels
        return 164.0 * pixels + (172.0 + 4 * 49.0) * pixels * blocks + 108.0 * runs + 18.0 * products

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return (conv_access(node, graph), None, None)

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (f"|accumulator| <= {accumulator_bound(node, graph):,}, proved from the weights",)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        g = geometry(node, graph)
        weights = graph.constant(node.inputs[1])
        if g.planes > 1:
            weights = weights.transpose(0, 3, 1, 2)
        fields: dict[str, Value] = {
            "weights": tables.add(f"{layer}_weights", weights),
            **output_fields(node, graph, tables, layer),
            **x_fields(g),
            "planes": g.planes,
            **window_fields(g),
        }
        return [Call(fields, (node.inputs[0],), node.outputs[0], rows=g.y[0])]
