"""One dense vector of int16 by int8 on the DSP extension: eight output channels at a time, inputs from where they lie,
no scratch. Also a convolution of one output pixel whose window is its whole input."""

from __future__ import annotations

import numpy as np

from mcugen.boards import Board
from mcugen.ir import Array, DType, Graph, Node
from mcugen.kernels.conv2d_dsp import block_channels, interleave
from mcugen.kernels.conv2d_int16x8_dsp import RESCALED, channel_records
from mcugen.kernels.conv2d_portable import accumulator_bound, geometry
from mcugen.kernels.kernel import Call, Kernel, Tables, Value
from mcugen.kernels.output_int16_dsp import ShortForm, short_rescaling

BLOCK = 8  # output channels


def columns(node: Node, graph: Graph) -> Array:
    """int64 [1, blocks, 8, inputs], inputs an even number."""
    weights = graph.constant(node.inputs[1]).astype(np.int64)
    weights = weights.reshape(weights.shape[0], -1)
    padded = np.pad(weights, [(0, 1), (0, weights.shape[1] % 2)])
    return np.asarray(padded[block_channels(weights.shape[0], BLOCK)][None])


class FullyConnectedInt16x8Dsp(Kernel):
    name = "fully_connected_int16x8_dsp"
    ops = ("conv2d", "fully_connected")
    types = ((DType.INT16, DType.INT16),)
    limits = (
        "one vector of at least two inputs, or a window that is the whole input",
        "sums and scales for which one multiplication gives the exact result",
    )
    headers = ("mcugen_int16.h", "mcugen_wide.h", "mcugen_dsp.h", "mcugen_output_int16_dsp.h")

    def serves(self, board: Board) -> bool:
        return board.isa.dsp

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        g = geometry(node, graph)
        whole = g.kernel == g.x and g.pads == (0, 0) and g.groups == g.planes == 1
        if g.y != (1, 1) or not whole or g.kernel[0] * g.kernel[1] * g.x_channels < 2:
            return f"not {self.limits[0]}"
        return None if short_rescaling(node, graph) is not None else f"not {self.limits[1]}"

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        """As measured on the Cortex-M4, within some percent."""
        g, short = geometry(node, graph), short_rescaling(node, graph)
        assert short is not None
        depth = g.kernel[0] * g.kernel[1] * g.x_channels
        blocks = len(block_channels(g.y_channels, BLOCK))
        pairs = 23 * (depth // 2) + 6 * -(-depth // 16) + 23 * (depth % 2)
        return 130.0 + blocks * (75 + 23 * (short.form is ShortForm.SHIFTED) + pairs)

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        short = short_rescaling(node, graph)
        assert short is not None
        bound = f"|accumulator| <= {accumulator_bound(node, graph):,}, proved from the weights"
        return bound, f"rescaled by {RESCALED[short.form]}"

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        g, short = geometry(node, graph), short_rescaling(node, graph)
        assert short is not None
        records = channel_records(short, graph.constant(node.inputs[2]), block=BLOCK)
        fields: dict[str, Value] = {
            "weights": tables.add(f"{layer}_weights", interleave(columns(node, graph), raw=False)),
            "channels": tables.add(f"{layer}_channels", records),
            "flags": short.flags,
            "depth": g.kernel[0] * g.kernel[1] * g.x_channels,
            "y_channels": g.y_channels,
        }
        return [Call(fields, (node.inputs[0],), node.outputs[0])]
