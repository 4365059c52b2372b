"""gather in plain C for every core: whole elements of the inner axes, row range."""

from __future__ import annotations

import math

import numpy as np

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import Array, DType, Graph, Node
from mcugen.kernels.kernel import Call, Kernel, Tables, Value, row_access
from mcugen.ops.gather import gathered_axes

INT16_MAX = 32767


def _places(node: Node, graph: Graph) -> tuple[tuple[int, int, int, int], Array, Array]:
    """The input as [outer][rows][columns][inner bytes], and which rows and columns are taken of each outer index."""
    x, indices = graph.type(node.inputs[0]), node.attrs["indices"]
    shape = x.shape
    axes = gathered_axes(indices)
    first, behind = axes[0], axes[-1] + 1
    outer, inner = math.prod(shape[:first]), math.prod(shape[behind:]) * x.dtype.size
    taken = [(shape[a], np.array(indices[a])) for a in axes]
    if len(taken) == 1:  # rows can overlap one by one; columns come without a division each
        one = (1, np.zeros(1, np.int64))
        taken = [*taken, one] if outer == 1 else [one, *taken]
    (height, rows), (width, columns) = taken
    return (outer, height, width, inner), rows, columns


class GatherPortable(Kernel):
    name = "gather_portable"
    ops = ("gather",)
    types = tuple((dtype, dtype) for dtype in DType)
    limits = ("at most 32,767 elements along an axis",)

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        _, rows, columns = _places(node, graph)
        most = int(max(rows.max(), columns.max(), rows.size, columns.size))
        return None if most <= INT16_MAX else f"axes beyond {INT16_MAX} elements"

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        (_, _, _, inner), _, _ = _places(node, graph)
        size = graph.type(node.outputs[0]).bytes
        return 6.0 * size + 20.0 * size / inner

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        (outer, height, width, inner), rows, columns = _places(node, graph)
        source = (np.arange(outer)[:, np.newaxis] * height + rows).reshape(-1)
        out_row = columns.size * inner
        return (row_access(outer * height, width * inner, source.size, out_row, source, source + 1),)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        (outer, height, width, inner), rows, columns = _places(node, graph)
        fields: dict[str, Value] = {
            "x_height": height,
            "x_width": width,
            "inner": inner,
            "y_height": rows.size,
            "y_width": columns.size,
            "rows": tables.add(f"{layer}_rows", rows.astype(np.int16)),
            "columns": tables.add(f"{layer}_columns", columns.astype(np.int16)),
        }
        return [Call(fields, (node.inputs[0],), node.outputs[0], rows=outer * rows.size)]
