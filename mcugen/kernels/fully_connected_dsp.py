"""One dense vector on the DSP extension: eight output channels at a time, two weights in a word, no scratch.

Also a convolution of one output pixel whose window is its whole input. See conv2d_dsp for the sums' conditions, under
which alone this kernel works.
"""

from __future__ import annotations

import numpy as np

from mcugen.boards import Board
from mcugen.ir import Array, Graph, Node
from mcugen.kernels.conv2d_dsp import (
    block_channels,
    fits_raw,
    interleave,
    raw_channels,
    run_order,
)
from mcugen.kernels.conv2d_portable import accumulator_bound, geometry, reject_overflow
from mcugen.kernels.kernel import Call, Kernel, Tables, Value
from mcugen.ops.conv2d import output_range

BLOCK = 8  # output channels


def columns(node: Node, graph: Graph) -> Array:
    """int64 [1, blocks, 8, inputs], inputs a multiple of four."""
    weights = graph.constant(node.inputs[1]).astype(np.int64)
    weights = weights.reshape(weights.shape[0], -1)
    depth = -(-weights.shape[1] // 4) * 4
    padded = np.pad(weights, [(0, 1), (0, depth - weights.shape[1])])[:, run_order(depth)]
    return padded[block_channels(weights.shape[0], BLOCK)][None]


class FullyConnectedDsp(Kernel):
    name = "fully_connected_dsp"
    ops = ("conv2d", "fully_connected")
    limits = (
        "one vector, or a window that is the whole input",
        "sums, weights and scales that fit two in a word",
    )
    headers = ("mcugen_dsp.h", "mcugen_output_dsp.h", "mcugen_clamp_dsp.h", "mcugen_dense_dsp.h")

    def serves(self, board: Board) -> bool:
        return board.isa.dsp

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        g = geometry(node, graph)
        whole = g.kernel == g.x and g.pads == (0, 0) and g.groups == g.planes == 1
        if g.y != (1, 1) or not whole:
            return "it is more than one vector"
        overflow = reject_overflow(node, graph)
        if overflow is not None:
            return overflow
        return None if fits_raw(node, graph, columns(node, graph)) else "sums or scales that need more bits"

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        g = geometry(node, graph)
        depth = g.kernel[0] * g.kernel[1] * g.x_channels
        blocks = len(block_channels(g.y_channels, BLOCK))
        inner = 162 * (depth // 16) + 45 * (depth % 16 // 4) + 44 * (depth % 4 > 0)
        return 120.0 + blocks * (150 + inner)

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (f"|accumulator| <= {accumulator_bound(node, graph):,}, proved from the weights",)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        g, (lo, hi) = geometry(node, graph), output_range(node, graph)
        words = interleave(columns(node, graph), raw=True)
        fields: dict[str, Value] = {
            "weights": tables.add(f"{layer}_weights", words),
            "channels": tables.add(f"{layer}_channels", raw_channels(node, graph, 1, BLOCK)),
            "rounding": 2 * graph.type(node.outputs[0]).zero_point + 1,
            "lo": lo,
            "hi": hi,
            "depth": g.kernel[0] * g.kernel[1] * g.x_channels,
            "y_channels": g.y_channels,
        }
        return [Call(fields, (node.inputs[0],), node.outputs[0])]
