"""depthwise_conv2d of int16 activations by int8 weights for cores with the DSP extension: four neighbouring channels at
a time, no scratch, row range. Two words of four inputs are multiplied as they are by four weights, which two
instructions take apart; pixels whose windows are inside are one call for a row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import Array, DType, Graph, Node
from mcugen.kernels.conv2d_dsp import block_channels
from mcugen.kernels.conv2d_int16x8_dsp import RESCALED, channel_records
from mcugen.kernels.conv2d_portable import accumulator_bound
from mcugen.kernels.depthwise_conv2d_portable import depthwise_fields
from mcugen.kernels.kernel import Call, Kernel, Tables, window_row_access
from mcugen.kernels.output_int16_dsp import ShortForm, short_rescaling

UNROLLED = 8  # taps of a row of the window; of windows one wide or one high any number


def taps_inside(node: Node, graph: Graph, axis: int) -> Array:
    """bool [outputs, taps]: which taps along an axis (1: rows, 2: columns) lie inside of x."""
    x, y, w = (graph.type(t).shape[axis] for t in (node.inputs[0], node.outputs[0], node.inputs[1]))
    first = np.arange(y) * node.attrs["strides"][axis - 1] - node.attrs["pads"][axis - 1]
    at = first[:, np.newaxis] + np.arange(w) * node.attrs["dilations"][axis - 1]
    return np.asarray((at >= 0) & (at < x))


def is_three_by_three(node: Node, graph: Graph) -> bool:
    """Whether windows inside have code without loops."""
    return graph.type(node.inputs[1]).shape[1:3] == (3, 3)


def block_weights(node: Node, graph: Graph) -> Array:
    """int8 [blocks, kh, kw, 4]: the weights of four channels, tap by tap."""
    weights = graph.constant(node.inputs[1])[0]
    return np.ascontiguousarray(weights[..., block_channels(weights.shape[-1])].transpose(2, 0, 1, 3))


class DepthwiseConv2DInt16x8Dsp(Kernel):
    name = "depthwise_conv2d_int16x8_dsp"
    ops = ("depthwise_conv2d",)
    types = ((DType.INT16, DType.INT16),)
    limits = (
        "a depth multiplier of 1 and at least four channels",
        f"windows at most {UNROLLED} wide, or one high; none that is padding alone",
        "sums and scales for which one multiplication gives the exact result",
    )
    headers = (
        "mcugen_int16.h",
        "mcugen_wide.h",
        "mcugen_window.h",
        "mcugen_dsp.h",
        "mcugen_output_int16_dsp.h",
    )

    def serves(self, board: Board) -> bool:
        return board.isa.dsp

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        channels, outputs = (graph.type(t).shape[3] for t in (node.inputs[0], node.outputs[0]))
        if channels != outputs or channels < 4:
            return f"not {self.limits[0]}"
        kh, kw = graph.type(node.inputs[1]).shape[1:3]
        padding = any(not taps_inside(node, graph, axis).any(axis=1).all() for axis in (1, 2))
        if padding or (kw > UNROLLED and kh > 1):
            return f"not {self.limits[1]}"
        return None if short_rescaling(node, graph) is not None else f"not {self.limits[2]}"

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        """As measured on the Cortex-M4, within some percent."""
        rows, columns = (taps_inside(node, graph, axis).sum(axis=1) for axis in (1, 2))
        (_, kh, kw, channels), short = graph.type(node.inputs[1]).shape, short_rescaling(node, graph)
        assert short is not None
        blocks, pixels = len(block_channels(channels)), rows.size * columns.size
        if 1 in (kh, kw):
            taps = np.outer(rows, columns)
            sums = float((11 * taps + 10 * -(-taps // UNROLLED)).sum())
        else:
            straight = is_three_by_three(node, graph)
            more = np.select([straight & (columns == 3), straight & (columns == 2)], [1, 2], 10)
            sums = float(rows.sum() * (11 * columns + more).sum())
        inside = int((columns == kw).sum())
        calls = rows.size * (columns.size - inside + (inside > 0)) * (1 + (channels % 4 > 0))
        block = (42.0 if is_three_by_three(node, graph) else 45.0) + 22 * (short.form is ShortForm.SHIFTED)
        return float(200 + 100 * rows.size + 150 * calls + 20 * pixels + blocks * (sums + block * pixels))

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return (window_row_access(node, graph, graph.type(node.inputs[1]).shape[1]), None, None)

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        short = short_rescaling(node, graph)
        assert short is not None
        bound = f"|accumulator| <= {accumulator_bound(node, graph):,}, proved from the weights"
        return bound, f"rescaled by {RESCALED[short.form]}"

    def variant(self, node: Node, graph: Graph) -> tuple[str, Mapping[str, Any]]:
        short, straight = short_rescaling(node, graph), is_three_by_three(node, graph)
        assert short is not None
        kinds = [kind for kind, is_so in (("3x3", straight), ("relu", short.relu)) if is_so]
        context = {"straight": straight, "unrolled": 1 if straight else UNROLLED, "relu": short.relu}
        return "_".join([self.name, *kinds]), context

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        short = short_rescaling(node, graph)
        assert short is not None
        records = channel_records(short, graph.constant(node.inputs[2]))
        full = taps_inside(node, graph, 2).all(axis=1)
        inside = np.flatnonzero(full) if full.any() else np.array([0, -1])
        fields = {
            "weights": tables.add(f"{layer}_weights", block_weights(node, graph)),
            "channels": tables.add(f"{layer}_channels", records),
            "flags": short.flags,
            **depthwise_fields(node, graph),
            "inside_first": int(inside[0]),
            "inside_end": int(inside[-1]) + 1,
        }
        del fields["depth_multiplier"]
        rows = graph.type(node.outputs[0]).shape[1]
        return [Call(fields, (node.inputs[0],), node.outputs[0], rows=rows)]
