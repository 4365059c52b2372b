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


class Conv2DPortable(Kernel):
    name = "conv2d_portable"
    ops = ("conv2d", "fully_connected")
    limits = ("sums that fit 32 bits, proved from the weights",)
    headers = ("mcugen_dot.h", "mcugen_output.h", "mcugen_window.h")

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        return reject_overflow(node, graph)

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        g = geometry(node, graph)
        products = g.kernel[0] * g.kernel[1] * g.x_channels * g.planes // g.groups
        return (4.0 * products + 40.0) * g.y[0] * g.y[1] * g.y_channels

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        g = geometry(node, graph)
        r = np.arange(g.y[0], dtype=np.int64)
        lo = r * g.strides[0] - g.pads[0]
        hi = lo + (g.kernel[0] - 1) * g.dilations[0] + 1
        rows = row_access(g.x[0], g.x[1] * g.x_channels, g.y[0], g.y[1] * g.y_channels, lo, hi)
        if g.planes > 1:  # the same rows of every plane, from the first plane's to the last one's
            last = (g.planes - 1) * g.x[0] * g.x[1]
            read_end = np.where(rows.read_begin < rows.read_end, rows.read_end + last, rows.read_end)
            rows = replace(rows, read_end=read_end)
        return (rows, None, None)

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
            "x_height": g.x[0],
            "x_width": g.x[1],
            "x_channels": g.x_channels,
            "planes": g.planes,
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
        return [Call(fields, (node.inputs[0],), node.outputs[0], rows=g.y[0])]
