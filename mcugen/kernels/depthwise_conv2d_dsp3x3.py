"""depthwise_conv2d with 3x3 filters for cores with the DSP extension: one output row of one channel after the other, no
scratch, row range.

Per channel the nine weights lie in five words of two halves each, which stay in registers while a row is walked. A
column of the input costs three byte loads; rows 0 and 1 share a word, so a multiplication does two taps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import Array, Graph, Node
from mcugen.kernels.conv2d_portable import accumulator_bound, reject_overflow
from mcugen.kernels.depthwise_conv2d_portable import depthwise_fields
from mcugen.kernels.kernel import Call, Kernel, Tables, Value, window_row_access
from mcugen.kernels.output_affine import SCALE, Affine, affine
from mcugen.kernels.output_dsp import Form, folded_bias, rescaling, wrapped
from mcugen.ops.conv2d import output_range

SLOWER = {Form.SHORT: 0.0, Form.CLAMPED: 6.7, Form.SHIFTED: 20.6, Form.WIDE: 33.0}  # cycles more per output


def right_padding(node: Node, graph: Graph) -> int:
    """Columns to the right of x that the last window reaches; negative: columns of x that none does."""
    width, y_width = graph.type(node.inputs[0]).shape[2], graph.type(node.outputs[0]).shape[2]
    kernel = (graph.type(node.inputs[1]).shape[2] - 1) * node.attrs["dilations"][1] + 1
    return int((y_width - 1) * node.attrs["strides"][1] + kernel - width - node.attrs["pads"][1])


def channel_records(weights: Array, bias: Array, multiplier: Array, shift: Array | None) -> Array:
    """The kernel's table int32, see its template: [C, 4], then bytes; weights int8 [3, 3, C], the others [C]."""
    w = weights.astype(np.int64) & 0xFF

    def word(*taps: tuple[int, int]) -> Array:
        return np.asarray(sum(w[i, j] << 8 * k for k, (i, j) in enumerate(taps)))

    low, high = word((0, 1), (0, 0), (1, 1), (1, 0)), word((2, 0), (0, 2), (2, 1), (1, 2))
    words = wrapped(np.stack((low, high, bias.astype(np.int64), multiplier.astype(np.int64)), axis=1))
    rest = np.stack([w[2, 2], *([] if shift is None else [shift])], axis=1).astype(np.uint8).reshape(-1)
    rest = np.pad(rest, (0, -rest.size % 4)).view("<i4")
    return np.concatenate([words.reshape(-1), rest]).astype(np.int32)


@dataclass(frozen=True)
class Walk:
    """How a row is taken two columns at a time: how many columns come first, how many pairs follow, and what is left
    for the last output: columns of x, columns of padding."""

    first: int
    pairs: int
    tail: int
    tail_padding: int


def row_walk(node: Node, graph: Graph) -> Walk:
    width, y_width = graph.type(node.inputs[0]).shape[2], graph.type(node.outputs[0]).shape[2]
    left, stride = node.attrs["pads"][1], node.attrs["strides"][1]
    first = (2 if stride == 1 else 1) - left
    pairs = min((width - first) // 2, y_width)
    tail_padding = max(right_padding(node, graph), 0)
    return Walk(first, pairs, min(width - first - 2 * pairs, 1), tail_padding)


def exact_affine(node: Node, graph: Graph) -> Affine | None:
    """The requantization by one multiplication, where there is one and the row is long enough for it."""
    one_each = graph.type(node.inputs[0]).shape[3] == graph.type(node.outputs[0]).shape[3]
    return affine(node, graph) if one_each and row_walk(node, graph).pairs > 0 else None


class DepthwiseConv2DDsp3x3(Kernel):
    name = "depthwise_conv2d_dsp3x3"
    ops = ("depthwise_conv2d",)
    limits: ClassVar[tuple[str, ...]] = (
        "3x3 filters whose columns are neighbours, strides in a row of 1 or 2",
        "at most one column of padding on either side",
        "sums that fit 32 bits, proved from the weights",
    )
    headers = ("mcugen_dsp.h", "mcugen_output_dsp.h", "mcugen_output_affine.h")

    def serves(self, board: Board) -> bool:
        return board.isa.dsp

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        _, kh, kw, _ = graph.type(node.inputs[1]).shape
        left = node.attrs["pads"][1]
        if (kh, kw) != (3, 3) or node.attrs["dilations"][1] != 1 or node.attrs["strides"][1] not in (1, 2):
            return f"not 3x3 filters with neighbouring columns, or a stride of {node.attrs['strides'][1]}"
        if left > 1 or right_padding(node, graph) > 1 or graph.type(node.inputs[0]).shape[2] + left < 2:
            return "more than one column of padding on a side"
        return reject_overflow(node, graph)

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        _, rows, width, outputs = graph.type(node.outputs[0]).shape
        walk, stride = row_walk(node, graph), node.attrs["strides"][1]
        if exact_affine(node, graph) is not None:
            pair = 41.0 if stride == 1 else 32.5
            row = 55.0 + pair * walk.pairs + 18 * (walk.tail + walk.tail_padding)
        else:
            each = 35.3 if stride == 1 else 57.5 + 10 * node.attrs["pads"][1]
            row = (80.0 if stride == 1 else 15.0) + (each + SLOWER[rescaling(node, graph).form]) * width
        return rows * (150.0 + outputs * row)

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return (window_row_access(node, graph, 3), None, None)

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        lines = [f"|accumulator| <= {accumulator_bound(node, graph):,}, proved from the weights"]
        if exact_affine(node, graph) is not None:
            lines.append("requantized by one multiplication, proved equal at every step of the output")
        return tuple(lines)

    def variant(self, node: Node, graph: Graph) -> tuple[str, Mapping[str, Any]]:
        stride = node.attrs["strides"][1]
        found = exact_affine(node, graph)
        form = "affine" if found is not None else rescaling(node, graph).form.value
        left = node.attrs["pads"][1]
        context = {
            "stride": stride,
            "affine": found is not None,
            "form": form,
            "pad_left": left,
            "fixed": None,
        }
        return f"{self.name}_s{stride}_{form}{f'_p{left}' if found is not None else ''}", context

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        y = graph.type(node.outputs[0])
        weights, found = graph.constant(node.inputs[1])[0], exact_affine(node, graph)
        fields: dict[str, Value] = {}
        if found is not None:
            bias = wrapped(SCALE * folded_bias(node, graph) + found.offset)
            records = channel_records(weights, bias, found.multiplier, None)
        else:
            scaling = rescaling(node, graph)
            bias = wrapped(folded_bias(node, graph))
            records = channel_records(weights, bias, scaling.multiplier, scaling.shift)
            lo, hi = output_range(node, graph)
            fields = {"rounding": 2 * y.zero_point + 1}
            if scaling.form is not Form.SHORT:
                fields |= {"lo": lo, "hi": hi}
        shape = depthwise_fields(node, graph)
        kept = ("x_height", "x_width", "x_channels", "y_width", "depth_multiplier", "stride_h", "dilation_h")
        fields = {
            "channels": tables.add(f"{layer}_channels", records),
            "x_zero_point": graph.type(node.inputs[0]).zero_point,
            **fields,
            **{name: shape[name] for name in (*kept, "pad_top", "pad_left")},
        }
        if found is not None:
            walk, step = row_walk(node, graph), graph.type(node.inputs[0]).shape[3]
            fields |= {
                "span": (walk.first + 2 * walk.pairs) * step,
                "output_step": (node.attrs["pads"][1] - 3) * step,
                "tail": walk.tail,
                "tail_padding": walk.tail_padding,
            }
        return [Call(fields, (node.inputs[0],), node.outputs[0], rows=y.shape[1])]
