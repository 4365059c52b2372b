"""depthwise_conv2d for cores with the DSP extension, by strips (see strips.py): what one or two output rows need of
four input channels is copied to scratch as int16, where a multiplication does two taps and every word serves several
outputs.

x around its borders is its zero point, which is in the bias. The C function walks a row four outputs at a time, one
channel after the other; the taps are unrolled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from mcugen.access import Access, Direction
from mcugen.boards import Board
from mcugen.ir import Array, Graph, Node
from mcugen.kernels.conv2d_portable import accumulator_bound, reject_overflow
from mcugen.kernels.kernel import Call, Kernel, Tables, Value, row_access
from mcugen.kernels.output_affine import SCALE, affine
from mcugen.kernels.output_dsp import Form, folded_bias, rescaling, wrapped
from mcugen.kernels.strips import CHANNELS, OUTPUTS, ROWS, UNROLLED, WORD, Layout, layout, parts, schedule
from mcugen.ops.conv2d import output_range

REACH = 4095  # bytes that an instruction adds to an address
FAST = ("affine", "short")  # forms that the instructions compute
OUTPUT: Mapping[str, float] = {
    Form.CLAMPED: 28.5,
    Form.SHIFTED: 34.0,
    Form.WIDE: 57.0,
}  # cycles of one of the others


def channel_records(at: Layout, weights: Array, heads: Array) -> Array:
    """The kernel's table int32 [O, n]: heads [O, k], then bytes of the weights, two pairs of taps per word: their
    bottom halves, bytes 0 and 1, top halves, bytes 2 and 3. weights: int8 [taps, O]."""
    pairs = np.full((at.weights, 2), -1)
    pairs[: at.pairs] = at.sources()
    padded = np.concatenate([weights, np.zeros((1, weights.shape[1]), np.int8)])
    halves = padded[pairs].reshape(-1, 2, 2, weights.shape[1])  # word, pair, half, channel
    packed = halves.transpose(3, 0, 2, 1).reshape(weights.shape[1], -1).view("<i4")
    return np.concatenate([wrapped(heads), packed.astype(np.int32)], axis=1)


class DepthwiseConv2DStripDsp(Kernel):
    name = "depthwise_conv2d_strip_dsp"
    ops = ("depthwise_conv2d",)
    row_block = ROWS
    limits = (
        f"filters of at most {UNROLLED} columns, or of at most two rows",
        "strides and filters that keep four outputs, and a channel's weights, within 4 kB of scratch",
        "sums that fit 32 bits, proved from the weights",
    )
    headers = ("mcugen_dsp.h", "mcugen_output_dsp.h", "mcugen_output_affine.h", "mcugen_strip_dsp.h")

    def serves(self, board: Board) -> bool:
        return board.isa.dsp

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        at = layout(node, graph)
        if len(at.taps) > UNROLLED:
            return f"filters of more than {UNROLLED} columns"
        reach = max(tap for tap, _ in at.taps) + (OUTPUTS - 1) * at.step
        if max(WORD * max(reach, OUTPUTS * at.step, at.outer * at.outer_step), 4 * at.weights) > REACH:
            return "outputs whose inputs lie too far apart, or too many weights"
        return reject_overflow(node, graph)

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        """Model cycles of a Cortex-M4, from the code's structure."""
        at, form = layout(node, graph), self.form(node, graph)
        channels, each = self._channels(node, graph)
        batches = schedule(at.taps, at.step)
        turn = sum(len(b.loads) + 1 + len(b.products) for b in batches) + (6 if at.outer > 1 else 0)
        group = at.outer * turn + {"affine": 26, "short": 36}.get(form, 12) + (8 if at.outer > 1 else 0)
        unpacked = (16 if form == "affine" else 22) + 8 * at.second[1]
        channel = 42.0 + at.weights // 4 * unpacked + at.groups * group
        if form not in FAST:
            channel += 100 + OUTPUT[form] * at.y[1]
        column = 16.5 if channels >= CHANNELS else 24.0 + 13.0 * channels
        copy = -(-at.rows // 2) * (30 + sum(70 + column * part.count for part in parts(at)))
        blocks = -(-channels // CHANNELS)
        calls = blocks if each == 1 else channels
        strips = -(-at.y[0] // at.together)
        row = calls * 165 + channels * each * channel
        return at.y[0] * row + strips * (60 + blocks * (125 + copy)) + 100 + 9.0 * at.columns * at.planes

    def scratch(self, node: Node, graph: Graph) -> int:
        at = layout(node, graph)
        sums = 0 if self.form(node, graph) in FAST else 4 * OUTPUTS * at.groups
        return 4 * at.weights + WORD * at.columns * at.planes + sums

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        """By steps of as many rows as may share a strip."""
        at = layout(node, graph)
        if at.flat:
            return (None, None, None)
        in_row, out_row = (int(np.prod(graph.type(t).shape[2:])) for t in (node.inputs[0], node.outputs[0]))
        rows, reach = at.y[0], (ROWS - 1) * at.strides[0] + (at.kernel[0] - 1) * at.dilations[0] + 1
        first = np.arange(0, rows, ROWS, dtype=np.int64) * at.strides[0] - at.pads[0]
        whole = row_access(at.x[0], in_row, len(first), ROWS * out_row, first, first + reach)
        return (
            replace(
                whole,
                write_end=np.minimum(whole.write_end, rows * out_row),
                directions=whole.directions if rows % ROWS == 0 else (Direction.ASCENDING,),
            ),
            None,
            None,
        )

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (f"|accumulator| <= {accumulator_bound(node, graph):,}, proved from the weights",)

    def form(self, node: Node, graph: Graph) -> str:
        """How outputs are made of sums: `affine`, or a form of mcugen_output_dsp.h."""
        return "affine" if affine(node, graph) is not None else rescaling(node, graph).form.value

    def _channels(self, node: Node, graph: Graph) -> tuple[int, int]:
        """Input channels, and output channels of each."""
        inputs, outputs = (graph.type(t).shape[3] for t in (node.inputs[0], node.outputs[0]))
        return inputs, outputs // inputs

    def variant(self, node: Node, graph: Graph) -> tuple[str, Mapping[str, Any]]:
        at, form = layout(node, graph), self.form(node, graph)
        context = {
            "form": form,
            "fast": form in FAST,
            "heads": 2 if form == "affine" else 3,
            "batches": schedule(at.taps, at.step),
            "outer": at.outer,
            "x_turn": WORD * at.outer_step,
            "w_turn": 4 * at.weights_step,
            "group": WORD * OUTPUTS * at.step,
            "taps": at.taps,
            "odd": at.second[1] > 0,
            "step": at.step,
            "words": at.weights,
        }
        return f"{self.name}_{at.shape}_{form}", context

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        at, found = layout(node, graph), affine(node, graph)
        bias, y = folded_bias(node, graph), graph.type(node.outputs[0])
        more: dict[str, Value] = {}
        if found is not None:
            heads = np.stack([SCALE * bias + found.offset, found.multiplier.astype(np.int64)], axis=1)
        else:
            scaling = rescaling(node, graph)
            short = scaling.form is Form.SHORT
            shift = -scaling.shift if short else scaling.shift
            heads = np.stack([2 * bias if short else bias, scaling.multiplier, shift], axis=1)
            more["rounding"] = 2 * y.zero_point + 1
            if not short:
                more["lo"], more["hi"] = output_range(node, graph)
        weights = graph.constant(node.inputs[1])
        records = channel_records(at, weights.reshape(-1, weights.shape[3]), heads)
        channels, each = self._channels(node, graph)
        part = [
            (
                CHANNELS * at.planes * p.first,
                p.count,
                *(-1 if x is None else x * channels for x in p.x),
            )
            for p in parts(at)
        ]
        fields: dict[str, Value] = {
            "channels": tables.add(f"{layer}_channels", records),
            "record": records.shape[1],
            "weights": at.weights,
            **more,
            "x_zero_point": graph.type(node.inputs[0]).zero_point,
            "x_height": at.x[0],
            "x_row": at.x[1] * channels,
            "x_channels": channels,
            "x_step": at.every * channels,
            "y_width": at.y[1],
            "depth_multiplier": each,
            "stride_h": at.strides[0],
            "dilation_h": at.dilations[0],
            "pad_top": at.pads[0],
            "together": at.together,
            "rows": at.rows,
            "planes": at.planes,
            "columns": at.columns,
            "second_strip": CHANNELS * at.second[0],
            "second_odd": at.second[1],
            "parts": len(part),
            "part": tuple((part + [(0, 0, -1, -1)] * 3)[:3]),
        }
        return [Call(fields, (node.inputs[0],), node.outputs[0], rows=at.y[0])]
