"""max_pool2d and average_pool2d of int16 in plain C for every core: one output element at a time, row range."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import DType, Graph, Node
from mcugen.kernels.kernel import Call, Kernel, Tables, window_row_access
from mcugen.kernels.max_pool2d_portable import pool_fields
from mcugen.ops.average_pool2d import counted_area

FUNCTIONS = {"max_pool2d": "max", "average_pool2d": "average"}
CELLS = 65534  # of int16 whose sum, and half a divisor, fit int32


class Pool2DInt16(Kernel):
    name = "pool2d_int16"
    ops = tuple(FUNCTIONS)
    types = ((DType.INT16, DType.INT16),)
    headers = ("mcugen_wide.h", "mcugen_window.h")
    limits = (f"average_pool2d: windows of at most {CELLS:,} cells",)

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        cells = math.prod(node.attrs["kernel"])
        if node.op == "average_pool2d" and cells > CELLS:
            return f"a sum of {cells:,} int16 may leave int32"
        return None

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        return (9.0 * math.prod(node.attrs["kernel"]) + 50.0) * graph.type(node.outputs[0]).elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return (window_row_access(node, graph, node.attrs["kernel"][0]),)

    def variant(self, node: Node, graph: Graph) -> tuple[str, Mapping[str, Any]]:
        function = FUNCTIONS[node.op]
        return f"{function}_{self.name}", {"function": function}

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        fields = pool_fields(node, graph)
        if node.op == "average_pool2d":
            names = ("count_top", "count_bottom", "count_left", "count_right")
            fields |= dict(zip(names, counted_area(node, graph), strict=True))
        rows = graph.type(node.outputs[0]).shape[1]
        return [Call(fields, (node.inputs[0],), node.outputs[0], rows=rows)]
