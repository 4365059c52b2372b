"""One dense vector on the DSP extension: up to four output channels at a time, any weights and scales, no scratch.

For few outputs, where fully_connected_dsp computes eight, and for weights that it refuses. A word of inputs is taken
apart once for the rows of the weights that are multiplied with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from mcugen.boards import Board
from mcugen.ir import Array, Graph, Node
from mcugen.kernels.conv2d_dsp import STORED_AS, block_channels
from mcugen.kernels.conv2d_portable import accumulator_bound, geometry, reject_overflow
from mcugen.kernels.fully_connected_dsp import reject_pixels
from mcugen.kernels.kernel import Call, Kernel, Tables, Value
from mcugen.kernels.output_dsp import output_dsp, rescaling

BLOCK = 4  # output channels at most


def rows_at_a_time(node: Node, graph: Graph) -> int:
    """Output channels that are computed together; the last of them begin early."""
    return min(geometry(node, graph).y_channels, BLOCK)


def row_weights(node: Node, graph: Graph) -> Array:
    """uint32 [blocks, words, rows]: four weights of each row after four of the next one, filled up with 0."""
    weights = graph.constant(node.inputs[1])
    weights = weights.reshape(weights.shape[0], -1)
    weights = np.pad(weights, [(0, 0), (0, -weights.shape[1] % 4)])
    words = np.ascontiguousarray(weights).view("<u4").astype(np.uint32)
    return words[block_channels(len(words), rows_at_a_time(node, graph))].swapaxes(1, 2)


class FullyConnectedRowsDsp(Kernel):
    name = "fully_connected_rows_dsp"
    ops = ("conv2d", "fully_connected")
    limits = (
        "one vector, or a window that is the whole input",
        "sums that fit 32 bits, proved from the weights",
    )
    headers: ClassVar[tuple[str, ...]] = ("mcugen_dsp.h", "mcugen_output_dsp.h")
    context: ClassVar[Mapping[str, Any]] = {"int16": False}

    def serves(self, board: Board) -> bool:
        return board.isa.dsp

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        return reject_pixels(node, graph) or reject_overflow(node, graph)

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        """As measured on the Cortex-M4, within some percent."""
        g, rows = geometry(node, graph), rows_at_a_time(node, graph)
        depth = g.kernel[0] * g.kernel[1] * g.x_channels
        blocks = len(block_channels(g.y_channels, rows))
        store = 25 if STORED_AS[rescaling(node, graph).form] == 0 else 40
        fours = (depth % 8 >= 4) + (depth % 4 > 0)
        inner = depth // 8 * (11 + 10.3 * rows) + fours * (20 + 10 * rows)
        return 40.0 + 10 * (depth % 4) + blocks * (55 + store * rows + inner)

    def variant(self, node: Node, graph: Graph) -> tuple[str, Mapping[str, Any]]:
        rows = rows_at_a_time(node, graph)
        registers = [(f"r{2 + row}", f"r{8 + row}") for row in range(rows)]
        return f"{self.name}_{rows}", {"rows": registers, **self.context}

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (f"|accumulator| <= {accumulator_bound(node, graph):,}, proved from the weights",)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        g = geometry(node, graph)
        fields: dict[str, Value] = {
            "weights": tables.add(f"{layer}_weights", row_weights(node, graph)),
            "output": output_dsp(node, graph, tables, layer),
            "form": STORED_AS[rescaling(node, graph).form],
            "depth": g.kernel[0] * g.kernel[1] * g.x_channels,
            "y_channels": g.y_channels,
        }
        return [Call(fields, (node.inputs[0],), node.outputs[0])]
