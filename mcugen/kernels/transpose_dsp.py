"""transpose of bytes for the DSP extension: blocks of 4x4, each four words in and four words out.

What merging the axes leaves must be a matrix, or several: rows of the output that are columns of the input.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import Array, Graph, Node
from mcugen.kernels.copy_portable import copies
from mcugen.kernels.kernel import Call, Kernel, Tables, Value

BLOCK = 4


@dataclass(frozen=True)
class Matrices:
    """y[matrix * y_matrix + row * y_row + column] = x[matrix * x_matrix + column * x_column + row]."""

    matrices: int
    rows: int
    columns: int
    x_matrix: int
    y_matrix: int
    x_column: int
    y_row: int


def matrices(node: Node, graph: Graph) -> Matrices | None:
    """What a transpose does with bytes; None if it is no transpose of matrices."""
    (copy,) = copies(node, graph)
    if len(copy.size) not in (2, 3) or 1 not in copy.x_stride[:-1] or copy.y_stride[-1] != 1:
        return None
    row = copy.x_stride.index(1)
    others = [axis for axis in range(len(copy.size) - 1) if axis != row]
    several = [(copy.size[axis], copy.x_stride[axis], copy.y_stride[axis]) for axis in others]
    count, x_matrix, y_matrix = several[0] if several else (1, 0, 0)
    return Matrices(
        count, copy.size[row], copy.size[-1], x_matrix, y_matrix, copy.x_stride[-1], copy.y_stride[row]
    )


def begins(size: int) -> Array:
    """Where blocks along an axis begin: the last one early, rather than end late."""
    return np.minimum(np.arange(0, size, BLOCK), max(size - BLOCK, 0))


class TransposeDsp(Kernel):
    name = "transpose_dsp"
    ops = ("transpose",)
    limits = ("two axes after merging them, or matrices; at least four rows or columns",)
    headers = ("mcugen_dsp.h",)

    def serves(self, board: Board) -> bool:
        return board.isa.dsp

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        m = matrices(node, graph)
        if m is None:
            return "it is no transpose of matrices"
        if m.rows < BLOCK and m.columns < BLOCK:
            return f"{m.rows} rows and {m.columns} columns are fewer than four"
        if m.columns < BLOCK and m.y_row != m.columns:
            return f"rows of {m.columns} bytes that are not neighbours"
        return None

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        """As measured on the Cortex-M4, to 5 %."""
        m = matrices(node, graph)
        assert m is not None
        rows, columns = -(-m.rows // BLOCK), -(-m.columns // BLOCK)
        if m.rows < BLOCK:
            matrix = 20.0 + 34.0 * columns
        elif m.columns < BLOCK:
            matrix = 20.0 + 31.0 * rows
        else:
            matrix = rows * (32.0 + 34.3 * columns + 5 * (m.columns % BLOCK > 0))
        return 40.0 + m.matrices * (10.0 + matrix)

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        """Block by block, its words before it is stored, the columns of four rows after those of the rows before. What
        is stored behind short rows belongs to the next one."""
        m = matrices(node, graph)
        assert m is not None
        grids = np.meshgrid(np.arange(m.matrices), begins(m.rows), begins(m.columns), indexing="ij")
        matrix, row, column = (grid.astype(np.int64).reshape(-1) for grid in grids)
        x = matrix * m.x_matrix + column * m.x_column + row
        y = matrix * m.y_matrix + row * m.y_row + column
        rows, columns = min(m.rows, BLOCK), min(m.columns, BLOCK)
        end = y + (rows - 1) * m.y_row + BLOCK
        if m.columns < BLOCK:
            end = np.minimum(end, matrix * m.y_matrix + m.rows * m.y_row)
        return (Access(x, x + (columns - 1) * m.x_column + rows, y, end, atomic=True),)

    def variant(self, node: Node, graph: Graph) -> tuple[str, Mapping[str, Any]]:
        m = matrices(node, graph)
        assert m is not None
        if m.rows < BLOCK:
            return f"{self.name}_few_rows", {"kind": "few_rows"}
        if m.columns < BLOCK:
            return f"{self.name}_short_rows", {"kind": "short_rows"}
        return self.name, {"kind": "rows"}

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        m = matrices(node, graph)
        assert m is not None
        fields: dict[str, Value] = dict(vars(m))
        return [Call(fields, node.inputs, node.outputs[0])]
