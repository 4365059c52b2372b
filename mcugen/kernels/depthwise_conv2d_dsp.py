"""depthwise_conv2d with any filters for cores with the DSP extension: four output channels at a time, no scratch, row
range. A word of four inputs becomes four int16 from which the zero point is gone, by two instructions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import Graph, Node
from mcugen.kernels.conv2d_portable import accumulator_bound, reject_overflow
from mcugen.kernels.depthwise_conv2d_portable import depthwise_fields
from mcugen.kernels.kernel import Call, Kernel, Tables, Value, window_row_access
from mcugen.kernels.output_affine import SCALE, affine
from mcugen.kernels.output_dsp import Form, rescaling, wrapped
from mcugen.ops.conv2d import output_range

FAST = ("affine", "short")  # forms for which blocks are written in instructions


def takes_blocks(node: Node, graph: Graph, form: str) -> bool:
    """Whether the layer is done by blocks of four neighbouring channels in instructions: every window has a tap
    inside of x."""
    x, y, w = (graph.type(t).shape for t in (node.inputs[0], node.outputs[0], node.inputs[1]))

    def reaches(axis: int) -> bool:
        first = np.arange(y[axis]) * node.attrs["strides"][axis - 1] - node.attrs["pads"][axis - 1]
        taps = first[:, np.newaxis] + np.arange(w[axis]) * node.attrs["dilations"][axis - 1]
        return bool(((taps >= 0) & (taps < x[axis])).any(axis=1).all())

    return form in FAST and x[3] == y[3] and x[3] >= 4 and reaches(1) and reaches(2)


class DepthwiseConv2DDsp(Kernel):
    name = "depthwise_conv2d_dsp"
    ops = ("depthwise_conv2d",)
    limits = ("sums that fit 32 bits, proved from the weights",)
    headers = ("mcugen_dsp.h", "mcugen_output_dsp.h", "mcugen_output_affine.h", "mcugen_window.h")

    def serves(self, board: Board) -> bool:
        return board.isa.dsp

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        return reject_overflow(node, graph)

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        _, rows, width, outputs = graph.type(node.outputs[0]).shape
        _, kh, kw, _ = graph.type(node.inputs[1]).shape
        channels = graph.type(node.inputs[0]).shape[3]
        each = outputs // channels
        outer, inner = (1, kh) if kw == 1 else (kh, kw)
        form = self.form(node, graph)
        if takes_blocks(node, graph, form):
            block = 45.0 + 15 * outer * inner + 18 * (outer - 1) + (28 if form == "affine" else 44)
            pixel = -(-channels // 4) * block
        else:
            store = 16.0 if form == "affine" else 35.0 if form in (Form.SHORT, Form.CLAMPED) else 60.0
            if each >= 4 or (each == 1 and channels >= 4):
                blocks = channels * -(-each // 4) if each > 1 else -(-channels // 4)
                pixel = blocks * (90.0 + 20 * outer * (inner + 1) + 4 * store)
            else:
                pixel = outputs * (45.0 + outer * (15 + 12 * inner) + store)
        return rows * width * (260.0 + pixel)

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return (window_row_access(node, graph, graph.type(node.inputs[1]).shape[1]), None, None)

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (f"|accumulator| <= {accumulator_bound(node, graph):,}, proved from the weights",)

    def form(self, node: Node, graph: Graph) -> str:
        """How outputs are made of sums: `affine`, or a form of mcugen_output_dsp.h."""
        return "affine" if affine(node, graph) is not None else rescaling(node, graph).form.value

    def variant(self, node: Node, graph: Graph) -> tuple[str, Mapping[str, Any]]:
        form = self.form(node, graph)
        words, blocks = 3 if form == "short" else 2, takes_blocks(node, graph, form)
        context = {"form": form, "words": words, "blocks": blocks}
        return f"{self.name}{'_blocks' if blocks else ''}_{form}", context

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        y, found = graph.type(node.outputs[0]), affine(node, graph)
        bias = graph.constant(node.inputs[2]).astype(np.int64)
        fields: dict[str, Value] = {"weights": tables.add(f"{layer}_weights", graph.constant(node.inputs[1]))}
        if found is not None:
            pairs = np.stack([SCALE * bias + found.offset, found.multiplier.astype(np.int64)], axis=1)
            fields["channels"] = tables.add(f"{layer}_channels", wrapped(pairs))
        else:
            scaling = rescaling(node, graph)
            lo, hi = output_range(node, graph)
            if scaling.form is Form.SHORT:
                words = np.stack([2 * bias, scaling.multiplier, -1 - scaling.shift], axis=1)
                more: dict[str, Value] = {}
            else:
                words = np.stack([bias, scaling.multiplier], axis=1)
                more = {"lo": lo, "hi": hi}
                fields["shift"] = tables.add(f"{layer}_shift", scaling.shift.astype(np.int8))
            fields |= {
                "channels": tables.add(f"{layer}_channels", wrapped(words)),
                "rounding": 2 * y.zero_point + 1,
                **more,
            }
        fields |= {
            "x_offset": -graph.type(node.inputs[0]).zero_point,
            **depthwise_fields(node, graph),
        }
        return [Call(fields, (node.inputs[0],), node.outputs[0], rows=y.shape[1])]
