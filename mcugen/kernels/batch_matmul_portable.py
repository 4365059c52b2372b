"""batch_matmul in plain C for every core: four columns at a time, no scratch, row range."""

from __future__ import annotations

import math

import numpy as np

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import Graph, Node
from mcugen.kernels.add_portable import MAX_AXES, broadcast_loops, loops
from mcugen.kernels.kernel import Call, Kernel, Tables, Value, row_access
from mcugen.ops.batch_matmul import matrices
from mcugen.ops.conv2d import output_range, requantization


def product_loops(node: Node, graph: Graph) -> list[tuple[int, int, int]]:
    """(extent, step of a, step of b) of the loops over products, in elements, outermost first."""
    a, b = (graph.type(i).shape for i in node.inputs)
    y = graph.type(node.outputs[0]).shape
    steps = math.prod(a[-2:]), math.prod(b[-2:])
    return [(n, i * steps[0], j * steps[1]) for n, i, j in loops(y[:-2], a[:-2], b[:-2])]


def product_access(node: Node, graph: Graph) -> tuple[Access | None, ...]:
    """Row by row over a matrix that is neither transposed nor read again; the other one is read as a whole."""
    a, y = (graph.type(name) for name in (node.inputs[0], node.outputs[0]))
    if node.attrs["adj_x"] or a.shape[:-2] != y.shape[:-2] or graph.is_constant(node.inputs[0]):
        return (None, None)
    rows = y.elements // y.shape[-1]
    r = np.arange(rows, dtype=np.int64)
    a_row, y_row = a.shape[-1] * a.dtype.size, y.shape[-1] * y.dtype.size
    return (row_access(rows, a_row, rows, y_row, r, r + 1), None)


def product_fields(node: Node, graph: Graph) -> dict[str, Value]:
    """Descriptor fields: loops over the products, extents and steps of the matrices."""
    m, k, n = matrices(node, *(graph.type(i).shape for i in node.inputs))
    a_row, a_step = (1, m) if node.attrs["adj_x"] else (k, 1)
    b_column, b_step = (k, 1) if node.attrs["adj_y"] else (1, n)
    return {
        "loops": broadcast_loops(product_loops(node, graph)),
        "y_height": m,
        "y_width": n,
        "depth": k,
        "a_row": a_row,
        "a_step": a_step,
        "b_column": b_column,
        "b_step": b_step,
    }


def reject_loops(node: Node, graph: Graph) -> str | None:
    """Why the loops over the products are too many for a kernel."""
    if len(product_loops(node, graph)) > MAX_AXES - 1:
        return f"broadcasting needs more than {MAX_AXES - 1} nested loops"
    return None


def accumulator_bound(node: Node, graph: Graph) -> int:
    """What |accumulator| cannot exceed: the number of products, each of the operands' largest distances."""
    _, depth, _ = matrices(node, *(graph.type(i).shape for i in node.inputs))
    a, b = (graph.type(i).zero_point for i in node.inputs)
    return depth * max(127 - a, 128 + a) * max(127 - b, 128 + b)


class BatchMatMulPortable(Kernel):
    name = "batch_matmul_portable"
    ops = ("batch_matmul",)
    limits = ("at most 5 nested loops over matrices after merging axes",)
    headers = ("mcugen_broadcast.h",)

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        return reject_loops(node, graph)

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        _, depth, _ = matrices(node, *(graph.type(i).shape for i in node.inputs))
        return (6.0 * depth + 50.0) * graph.type(node.outputs[0]).elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return product_access(node, graph)

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (f"|accumulator| <= {accumulator_bound(node, graph):,}, from the number of products",)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        a, b = (graph.type(i) for i in node.inputs)
        y = graph.type(node.outputs[0])
        multiplier, shift = requantization(node, graph)
        lo, hi = output_range(node, graph)
        fields: dict[str, Value] = {
            **product_fields(node, graph),
            "a_offset": -a.zero_point,
            "b_offset": -b.zero_point,
            "y_offset": y.zero_point,
            "multiplier": int(multiplier[0]),
            "shift": int(shift[0]),
            "lo": lo,
            "hi": hi,
        }
        return [Call(fields, node.inputs, node.outputs[0], rows=y.elements // y.shape[-1])]
