"""fully_connected in plain C for every core: one output element at a time, no scratch.

Its rows are the vectors of the leading axes.
"""

from __future__ import annotations

import numpy as np

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import Graph, Node
from mcugen.kernels.conv2d_portable import accumulator_bound, requantization_fields
from mcugen.kernels.kernel import Call, Kernel, Tables, Value, row_access


class FullyConnectedPortable(Kernel):
    name = "fully_connected_portable"
    ops = ("fully_connected",)

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        y = graph.type(node.outputs[0])
        return (8.0 * graph.type(node.inputs[1]).shape[1] + 60.0) * y.elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        channels, depth = graph.type(node.inputs[1]).shape
        rows = graph.type(node.outputs[0]).elements // channels
        if rows == 1:  # every output needs every input
            return (None, None, None)
        r = np.arange(rows, dtype=np.int64)
        return (row_access(rows, depth, rows, channels, r, r + 1), None, None)

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (f"|accumulator| <= {accumulator_bound(node, graph):,}, proved from the weights",)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        channels, depth = graph.type(node.inputs[1]).shape
        fields: dict[str, Value] = {
            "weights": tables.add(f"{layer}_weights", graph.constant(node.inputs[1])),
            **requantization_fields(node, graph, tables, layer),
            "x_depth": depth,
            "y_channels": channels,
        }
        rows = graph.type(node.outputs[0]).elements // channels
        return [Call(fields, (node.inputs[0],), node.outputs[0], rows=rows)]
