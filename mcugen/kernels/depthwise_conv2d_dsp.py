"""depthwise_conv2d of four neighbouring channels at a time for cores with the DSP extension, without scratch: for few
outputs in a row, or filters that strips do not fit. A word of four inputs becomes four int16 from which the zero point
is gone, by two instructions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import Array, Graph, Node
from mcugen.kernels.conv2d_portable import accumulator_bound, reject_overflow
from mcugen.kernels.depthwise_conv2d_portable import depthwise_fields
from mcugen.kernels.kernel import Call, Kernel, Tables, Value, window_row_access
from mcugen.kernels.output_affine import SCALE, affine
from mcugen.kernels.output_dsp import Form, rescaling, wrapped


def taps(node: Node, graph: Graph) -> tuple[Array, Array]:
    """How many taps of the windows of every output row lie inside of x, and of every output column."""
    x, w, y = (graph.type(t).shape[1:3] for t in (*node.inputs[:2], node.outputs[0]))

    def inside(axis: int) -> Array:
        first = np.arange(y[axis]) * node.attrs["strides"][axis] - node.attrs["pads"][axis]
        at = first[:, np.newaxis] + np.arange(w[axis]) * node.attrs["dilations"][axis]
        return np.asarray(((at >= 0) & (at < x[axis])).sum(axis=1))

    return inside(0), inside(1)


class DepthwiseConv2DDsp(Kernel):
    name = "depthwise_conv2d_dsp"
    ops = ("depthwise_conv2d",)
    limits = (
        "one output channel per input channel, at least four",
        "windows of which a tap lies inside of the input",
        "outputs of all int8 values, a requantization by one multiplication or shifts to the right of at most 22",
        "sums that fit 32 bits, proved from the weights",
    )
    headers = ("mcugen_dsp.h", "mcugen_output_dsp.h", "mcugen_output_affine.h", "mcugen_window.h")

    def serves(self, board: Board) -> bool:
        return board.isa.dsp

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        channels, outputs = (graph.type(t).shape[3] for t in (node.inputs[0], node.outputs[0]))
        if channels != outputs or channels < 4:
            return "not one output channel for each of at least four input channels"
        if not all(inside.all() for inside in taps(node, graph)):
            return "windows that lie beside the input"
        if self.form(node, graph) not in ("affine", "short"):
            return "a clamp within int8, or a requantization that is not short"
        return reject_overflow(node, graph)

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        """Model cycles of a Cortex-M4, from the code's structure."""
        rows, columns = taps(node, graph)
        one = columns == 1  # then rows are the inner taps
        outer, inner = (
            np.where(one, 1, rows[:, np.newaxis]),
            np.where(one, rows[:, np.newaxis], columns),
        )
        turn = 13.0 * inner + 4 * -(-inner // 2)
        blocks, rest = divmod(graph.type(node.inputs[0]).shape[3], 4)
        fixed = 59.0 if self.form(node, graph) == "affine" else 75.0
        block = fixed + outer * turn + 17.5 * (outer - 1)
        return float(((blocks + (rest > 0)) * block + 136 + 84 * (rest > 0)).sum())

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return (window_row_access(node, graph, graph.type(node.inputs[1]).shape[1]), None, None)

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (f"|accumulator| <= {accumulator_bound(node, graph):,}, proved from the weights",)

    def form(self, node: Node, graph: Graph) -> str:
        """How outputs are made of sums: `affine`, or a form of mcugen_output_dsp.h."""
        return "affine" if affine(node, graph) is not None else rescaling(node, graph).form.value

    def variant(self, node: Node, graph: Graph) -> tuple[str, Mapping[str, Any]]:
        form = self.form(node, graph)
        return f"{self.name}_{form}", {"form": form, "words": 3 if form == "short" else 2}

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        y, found = graph.type(node.outputs[0]), affine(node, graph)
        bias = graph.constant(node.inputs[2]).astype(np.int64)
        if found is not None:
            words = np.stack([SCALE * bias + found.offset, found.multiplier.astype(np.int64)], axis=1)
        else:
            scaling = rescaling(node, graph)
            assert scaling.form is Form.SHORT
            words = np.stack([2 * bias, scaling.multiplier, -1 - scaling.shift], axis=1)
        shape = depthwise_fields(node, graph)
        fields: dict[str, Value] = {
            "weights": tables.add(f"{layer}_weights", graph.constant(node.inputs[1])),
            "channels": tables.add(f"{layer}_channels", wrapped(words)),
            **({} if found is not None else {"rounding": 2 * y.zero_point + 1}),
            "x_offset": -graph.type(node.inputs[0]).zero_point,
            **{name: value for name, value in shape.items() if name != "depth_multiplier"},
        }
        return [Call(fields, (node.inputs[0],), node.outputs[0], rows=y.shape[1])]
