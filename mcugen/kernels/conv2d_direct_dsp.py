"""conv2d for the DSP extension where the arena has no room for columns: conv2d_dsp's product of matrices, 2 pixels by 4
output channels, that takes inputs as bytes from where they lie.

Scratch holds where the runs of both windows lie, and one tap of the zero point for what lies outside. Windows that
reach out of the input are taken tap by tap. The inner loop is longer than that of conv2d_dsp; nothing is gathered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import DType, Graph, Node
from mcugen.kernels.conv2d_dsp import (
    SUMS,
    Conv2DDsp,
    Window,
    block_channels,
    column_weights,
    fits_raw,
    interleave,
    pair_access,
    raw_channels,
    window,
)
from mcugen.kernels.conv2d_portable import accumulator_bound, reject_overflow
from mcugen.kernels.kernel import Call, Kernel, Tables, Value
from mcugen.ops.conv2d import output_range
from mcugen.ops.op import limits


def taps(w: Window) -> int:
    """Runs that are told apart in the windows of two pixels, at most."""
    return w.g.kernel[0] * w.runs * (w.span if w.padded else 1)


class Conv2DDirectDsp(Kernel):
    name = "conv2d_direct_dsp"
    ops = ("conv2d",)
    limits = (
        "no groups",
        "neighbouring inputs in fours: input channels, or without padding whole rows of the window",
        "sums that fit 32 bits, with two weights in a word (the bounds of conv2d_dsp), proved from the weights",
    )
    headers = (*Conv2DDsp.headers, "mcugen_direct_dsp.h")

    def serves(self, board: Board) -> bool:
        return board.isa.dsp

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        w = window(node, graph)
        if w.g.groups > 1 or w.g.planes > 1:
            return "groups" if w.g.groups > 1 else "an input with its channels first"
        if graph.is_constant(node.inputs[0]):
            return "a constant input"
        if (w.g.x_channels if w.padded else w.run) % 4:
            return "runs of inputs that are not in fours"
        if not fits_raw(node, graph, column_weights(node, graph, w)):
            return "weights, sums or shifts beyond the bounds of two weights in a word"
        return reject_overflow(node, graph)

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        """As measured on the Cortex-M4, within some percent."""
        w = window(node, graph)
        g, blocks = w.g, len(block_channels(w.g.y_channels))
        fits = w.inside_shares
        inside = fits[0] * fits[1] ** (2 if g.pads[1] else 1)

        def two(runs: int, run: int) -> float:
            """Of two pixels, with so many runs of so many bytes."""
            return blocks * (92.0 + runs * (28 + 9 * run + 6 * -(-run // 16)))

        rows = g.kernel[0] * w.runs
        whole = two(rows, w.run) + 80 + 14 * rows
        border = two(taps(w), g.x_channels) + 80 + 36 * taps(w)
        early = 60.0 * (1 + (g.y_channels > 4 and g.y_channels % 4 > 0)) + 70.0 * (g.y_channels < 4)
        clamp = 4.0 * g.y_channels * (output_range(node, graph) != limits(DType.INT8))
        twos = (g.y[0] * g.y[1] + 1) // 2
        return 200.0 + twos * (inside * whole + (1 - inside) * border + early + clamp)

    def scratch(self, node: Node, graph: Graph) -> int:
        w = window(node, graph)
        return 8 * taps(w) + (w.g.x_channels if w.padded else 0)

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return (pair_access(node, graph, window(node, graph)), None, None)

    def variant(self, node: Node, graph: Graph) -> tuple[str, Mapping[str, Any]]:
        padded = window(node, graph).padded
        return self.name + ("" if padded else "_unpadded"), {"padded": padded}

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        bound = f"|accumulator| <= {accumulator_bound(node, graph):,}, proved from the weights"
        return bound, f"sums: {SUMS['raw']}"

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        w = window(node, graph)
        g = w.g
        lo, hi = output_range(node, graph)
        fields: dict[str, Value] = {
            "weights": tables.add(f"{layer}_weights", interleave(column_weights(node, graph, w), True)),
            "channels": tables.add(f"{layer}_channels", raw_channels(node, graph, 1)),
            "rounding": 2 * graph.type(node.outputs[0]).zero_point + 1,
            "lo": lo,
            "hi": hi,
            "block_words": 2 * w.pairs,
            "row_pixels": w.row_pixels,
            "x_width": g.x[1],
            "x_channels": g.x_channels,
            "y_width": g.y[1],
            "y_channels": g.y_channels,
            "kernel_height": g.kernel[0],
            "runs": w.runs,
            "run": w.run,
            "stride_h": g.strides[0],
            "stride_w": g.strides[1],
            "dilation_h": g.dilations[0],
            "dilation_w": g.dilations[1],
        }
        if w.padded:
            fields |= {
                "x_height": g.x[0],
                "inside_rows": w.inside[0],
                "inside_columns": w.inside[1],
                "span": w.span,
                "pad_top": g.pads[0],
                "pad_left": g.pads[1],
                "x_zero_point": graph.type(node.inputs[0]).zero_point,
            }
        rows = graph.type(node.outputs[0]).shape[1]
        return [Call(fields, (node.inputs[0],), node.outputs[0], rows=rows)]
