"""lstm in plain C for every core: the four gates of a unit at once, no scratch; rows of y replace those of x."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mcugen.access import Access, Direction
from mcugen.boards import Board
from mcugen.fixed import INT32_MAX
from mcugen.fixed16 import sigmoid_table
from mcugen.ir import Graph, Node
from mcugen.kernels.kernel import Call, Kernel, Tables, Value, row_access
from mcugen.ops.lstm import cell_power, gate_multipliers, product_multipliers, tanh_factor


def accumulator_bounds(node: Node, graph: Graph) -> tuple[int, int]:
    """What |sums of inputs| and |sums of hidden states| cannot exceed, from the weights; partial sums neither."""
    x, w, r, b, h, _ = node.inputs
    bounds = []
    for name, weights, bias in ((x, w, graph.constant(b).astype(np.int64)), (h, r, 0)):
        zero_point = graph.type(name).zero_point
        reach = max(127 - zero_point, 128 + zero_point)
        sums = np.abs(graph.constant(weights).astype(np.int64)).sum(axis=-1) * reach
        bounds.append(int((sums + np.abs(bias)).max(initial=0)))
    return bounds[0], bounds[1]


class LstmPortable(Kernel):
    name = "lstm_portable"
    ops = ("lstm",)
    headers = ("mcugen_dot.h", "mcugen_wide.h")
    limits = ("sums that fit int32",)

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        bound = max(accumulator_bounds(node, graph))
        return f"its accumulator can reach {bound:,}, which is beyond int32" if bound > INT32_MAX else None

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        _, steps, units = graph.type(node.outputs[0]).shape
        products = sum(graph.type(name).elements for name in node.inputs[1:3])
        return steps * (4.0 * products + 400.0 * units)

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        _, steps, inputs = graph.type(node.inputs[0]).shape
        units = graph.type(node.outputs[0]).shape[2]
        t = np.arange(steps, dtype=np.int64)
        rows = row_access(steps, inputs, steps, units, t, t + 1)
        return (replace(rows, directions=(Direction.ASCENDING,)), None, None, None, None, None)

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        of_x, of_h = accumulator_bounds(node, graph)
        return (f"|accumulator| <= {of_x:,} of x, {of_h:,} of the hidden state, proved from the weights",)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        x, w, r, b, hidden, cell = node.inputs
        _, steps, units = graph.type(node.outputs[0]).shape
        for_x, for_h = gate_multipliers(node, graph)
        to_cell, to_hidden = product_multipliers(node, graph)
        lo, hi = node.attrs["cell_range"]
        fields: dict[str, Value] = {
            "weights": tables.add(f"{layer}_weights", graph.constant(w)),
            "recurrent": tables.add(f"{layer}_recurrent", graph.constant(r)),
            "bias": tables.add(f"{layer}_bias", graph.constant(b)),
            "sigmoid": tables.add(f"{layer}_sigmoid", sigmoid_table().astype(np.uint16)),
            "steps": steps,
            "inputs": graph.type(x).shape[2],
            "units": units,
            "x_offset": -graph.type(x).zero_point,
            "h_offset": -graph.type(hidden).zero_point,
            "x_factors": for_x,
            "h_factors": for_h,
            "to_cell": to_cell,
            "to_hidden": to_hidden,
            "tanh_of_cell": tanh_factor(cell_power(node, graph)),
            "cell_lo": lo,
            "cell_hi": hi,
        }
        return [Call(fields, (x, hidden, cell), node.outputs[0])]
