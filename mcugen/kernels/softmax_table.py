"""softmax in plain C for every core, its exponentials from a table of all differences to a row's maximum; in place.

At most a kibibyte of constants in place of two exponentials per element.
"""

from __future__ import annotations

import numpy as np

from mcugen.boards import Board
from mcugen.fixed import exp_on_negative_values, mbqm, softmax_params
from mcugen.ir import Array, Graph, Node
from mcugen.kernels.kernel import Call, Tables, Value
from mcugen.kernels.softmax_portable import SoftmaxPortable


def exponentials(node: Node, graph: Graph) -> Array:
    """int32: e^-difference in Q0.31 by the difference, of int8 with the input's scale, as far as it counts; then 0,
    for all larger ones."""
    multiplier, shift, diff_min = softmax_params(node.attrs["beta"], graph.type(node.inputs[0]).scale)
    scaled = mbqm(-np.arange(min(-diff_min, 255) + 1), multiplier, shift)
    counted = exp_on_negative_values(scaled).astype(np.int32)
    return counted if len(counted) == 256 else np.append(counted, np.int32(0))


class SoftmaxTable(SoftmaxPortable):
    name = "softmax_table"

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        x = graph.type(node.inputs[0])
        return 150.0 * (x.elements // x.shape[-1]) + 50.0 * x.elements

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        x, table = graph.type(node.inputs[0]), exponentials(node, graph)
        fields: dict[str, Value] = {
            "exponentials": tables.add(f"{layer}_exponentials", table),
            "last": len(table) - 1,
            "rows": x.elements // x.shape[-1],
            "depth": x.shape[-1],
        }
        return [Call(fields, node.inputs, node.outputs[0])]
