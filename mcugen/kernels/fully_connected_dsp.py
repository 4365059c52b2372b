"""One dense vector on the DSP extension: eight output channels at a time, two weights in a word, no scratch.

Also a convolution of one output pixel whose window is its whole input. See conv2d_dsp for the sums' conditions, under
which alone this kernel works.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mcugen.boards import Board
from mcugen.ir import Array, Graph, Node
from mcugen.kernels.conv2d_dsp import (
    block_channels,
    by_block,
    fits_raw,
    interleave,
    raw_channels,
    run_order,
)
from mcugen.kernels.conv2d_portable import accumulator_bound, geometry, reject_overflow
from mcugen.kernels.kernel import Call, Kernel, Tables, Value
from mcugen.kernels.output_dsp import folded_bias, rescaling, wrapped
from mcugen.ops.conv2d import output_range

BLOCK = 8  # output channels


def columns(node: Node, graph: Graph) -> Array:
    """int64 [1, blocks, 8, inputs], inputs a multiple of four."""
    weights = graph.constant(node.inputs[1]).astype(np.int64)
    weights = weights.reshape(weights.shape[0], -1)
    depth = -(-weights.shape[1] // 4) * 4
    padded = np.pad(weights, [(0, 1), (0, depth - weights.shape[1])])[:, run_order(depth)]
    return padded[block_channels(weights.shape[0], BLOCK)][None]


def is_shared(node: Node, graph: Graph) -> bool:
    """Whether all channels have one multiplier and one shift."""
    scaling = rescaling(node, graph)
    return len(set(zip(scaling.multiplier.tolist(), scaling.shift.tolist(), strict=True))) == 1


def reject_pixels(node: Node, graph: Graph) -> str | None:
    """Why a node is no dense vector, if it is none."""
    g = geometry(node, graph)
    whole = g.kernel == g.x and g.pads == (0, 0) and g.groups == g.planes == 1
    return None if g.y == (1, 1) and whole else "it is more than one vector"


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
        why = reject_pixels(node, graph) or reject_overflow(node, graph)
        if why is not None:
            return why
        return None if fits_raw(node, graph, columns(node, graph)) else "sums or scales that need more bits"

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        g = geometry(node, graph)
        depth = g.kernel[0] * g.kernel[1] * g.x_channels
        blocks = len(block_channels(g.y_channels, BLOCK))
        inner = 162 * (depth // 16) + 45 * (depth % 16 // 4) + 44 * (depth % 4 > 0)
        return 120.0 + blocks * (150 + inner)

    def variant(self, node: Node, graph: Graph) -> tuple[str, Mapping[str, Any]]:
        way = "shared" if is_shared(node, graph) else "raw"
        return f"{self.name}{'_shared' if way == 'shared' else ''}", {"way": way}

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (f"|accumulator| <= {accumulator_bound(node, graph):,}, proved from the weights",)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        g, (lo, hi) = geometry(node, graph), output_range(node, graph)
        words = interleave(columns(node, graph), raw=True)
        fields: dict[str, Value] = {
            "weights": tables.add(f"{layer}_weights", words),
            "rounding": 2 * graph.type(node.outputs[0]).zero_point + 1,
            "lo": lo,
            "hi": hi,
            "depth": g.kernel[0] * g.kernel[1] * g.x_channels,
            "y_channels": g.y_channels,
        }
        if is_shared(node, graph):
            scaling = rescaling(node, graph)
            less_one = int(-scaling.shift[0] - 1)
            bias = by_block(folded_bias(node, graph), 1, 0, BLOCK)
            starts = (bias[..., 0::2] + 256 * bias[..., 1::2], bias[..., 0::2])
            fields["channels"] = tables.add(f"{layer}_channels", wrapped(np.concatenate(starts, axis=-1)))
            fields["rounding"] = (2 * graph.type(node.outputs[0]).zero_point + 1) << less_one
            fields |= {"less_one": less_one, "multiplier": int(scaling.multiplier[0])}
        else:
            fields["channels"] = tables.add(f"{layer}_channels", raw_channels(node, graph, 1, BLOCK))
        return [Call(fields, (node.inputs[0],), node.outputs[0])]
