"""conv2d in plain C for every core: one output element at a time, no scratch, row range."""

from __future__ import annotations

import numpy as np

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import Graph, Node
from mcugen.kernels.kernel import Call, Kernel, TableRef, Tables, Value, window_row_access
from mcugen.ops.conv2d import output_range, requantization


def accumulator_bound(node: Node, graph: Graph) -> int:
    """max over channels of |bias| + sum|w| * max|x - zx|: what |accumulator| cannot exceed (also partial sums)."""
    x, w = graph.type(node.inputs[0]), graph.constant(node.inputs[1])
    assert graph.type(node.inputs[1]).quant is not None
    axis = graph.type(node.inputs[1]).quant.axis or 0  # type: ignore[union-attr]
    others = tuple(i for i in range(w.ndim) if i != axis)
    reach = max(127 - x.zero_point, 128 + x.zero_point)
    sums = np.abs(w.astype(np.int64)).sum(axis=others) * reach
    return int((sums + np.abs(graph.constant(node.inputs[2]).astype(np.int64))).max(initial=0))


def requantization_fields(node: Node, graph: Graph, tables: Tables, layer: str) -> dict[str, Value]:
    """Descriptor fields that every weighted kernel has: bias, multipliers, shifts, offsets and clamp."""
    multiplier, shift = requantization(node, graph)
    lo, hi = output_range(node, graph)
    bias: TableRef = tables.add(f"{layer}_bias", graph.constant(node.inputs[2]).astype(np.int32))
    return {
        "bias": bias,
        "multiplier": tables.add(f"{layer}_multiplier", multiplier.astype(np.int32)),
        "shift": tables.add(f"{layer}_shift", shift.astype(np.int8)),
        "per_channel": int(len(multiplier) > 1),
        "x_offset": -graph.type(node.inputs[0]).zero_point,
        "y_offset": graph.type(node.outputs[0]).zero_point,
        "lo": lo,
        "hi": hi,
    }


class Conv2DPortable(Kernel):
    name = "conv2d_portable"
    ops = ("conv2d",)

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        y = graph.type(node.outputs[0])
        return 8.0 * y.elements * int(np.prod(graph.type(node.inputs[1]).shape[1:])) + 60.0 * y.elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return (window_row_access(node, graph, graph.type(node.inputs[1]).shape[1]), None, None)

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (f"|accumulator| <= {accumulator_bound(node, graph):,}, proved from the weights",)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        _, h, w, c = graph.type(node.inputs[0]).shape
        _, ho, wo, o = graph.type(node.outputs[0]).shape
        _, kh, kw, ci = graph.type(node.inputs[1]).shape
        top, left, _, _ = node.attrs["pads"]
        (sh, sw), (dh, dw) = node.attrs["strides"], node.attrs["dilations"]
        fields: dict[str, Value] = {
            "weights": tables.add(f"{layer}_weights", graph.constant(node.inputs[1])),
            **requantization_fields(node, graph, tables, layer),
            "x_height": h,
            "x_width": w,
            "x_channels": c,
            "y_width": wo,
            "y_channels": o,
            "kernel_height": kh,
            "kernel_width": kw,
            "group_in": ci,
            "group_out": o // node.attrs["groups"],
            "stride_h": sh,
            "stride_w": sw,
            "dilation_h": dh,
            "dilation_w": dw,
            "pad_top": top,
            "pad_left": left,
        }
        return [Call(fields, (node.inputs[0],), node.outputs[0], rows=ho)]
