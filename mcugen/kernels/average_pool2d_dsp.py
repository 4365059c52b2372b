"""average_pool2d for the DSP extension: sums of four or eight channels in halves of words, no scratch, row range."""

from __future__ import annotations

import numpy as np

from mcugen.boards import Board
from mcugen.ir import Graph, Node
from mcugen.kernels.kernel import Call, Tables
from mcugen.kernels.max_pool2d_dsp import _Pool2DDsp
from mcugen.kernels.max_pool2d_portable import pool_fields
from mcugen.ops.average_pool2d import cells, counted_area
from mcugen.short_form import mean_form


class AveragePool2DDsp(_Pool2DDsp):
    name = "average_pool2d_dsp"
    ops = ("average_pool2d",)
    limits = (*_Pool2DDsp.limits, "the same number of cells in all windows, at most 256")
    finish = 4.0

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        counted = cells(node, graph, counted_area(node, graph))
        if np.any(counted != counted.flat[0]):
            return "its windows count different numbers of cells"
        if mean_form(int(counted.flat[0])) is None:
            return "its windows have more than 256 cells"
        return super().reject(node, graph, board)

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        counted = int(cells(node, graph, counted_area(node, graph)).flat[0])
        return (f"|sum| <= {128 * counted:,}; the factor is exact for all sums",)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        counted = int(cells(node, graph, counted_area(node, graph)).flat[0])
        form = mean_form(counted)
        assert form is not None
        fields = {
            **pool_fields(node, graph),
            "zero_point": graph.type(node.inputs[0]).zero_point,
            "counted": counted,
            **vars(form),
        }
        rows = graph.type(node.outputs[0]).shape[1]
        return [Call(fields, (node.inputs[0],), node.outputs[0], rows=rows)]
