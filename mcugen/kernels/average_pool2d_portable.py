"""average_pool2d in plain C for every core: four channels at a time, no scratch, row range."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import Graph, Node
from mcugen.kernels.kernel import Call, Kernel, Tables, Value, window_row_access
from mcugen.kernels.max_pool2d_portable import lanes_variant, pool_fields
from mcugen.ops.average_pool2d import counted_area


def count_fields(node: Node, graph: Graph) -> dict[str, Value]:
    """Descriptor fields: which cells the divisor counts."""
    names = ("count_top", "count_bottom", "count_left", "count_right")
    return dict(zip(names, counted_area(node, graph), strict=True))


class AveragePool2DPortable(Kernel):
    name = "average_pool2d_portable"
    ops = ("average_pool2d",)
    headers = ("mcugen_window.h", "mcugen_mean.h")

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        cells, lanes = math.prod(node.attrs["kernel"]), self.variant(node, graph)[1]["lanes"]
        each = 3.5 * cells + 25.0 if lanes == 4 else 6.0 * cells + 12.0
        return each * graph.type(node.outputs[0]).elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return (window_row_access(node, graph, node.attrs["kernel"][0]),)

    def variant(self, node: Node, graph: Graph) -> tuple[str, Mapping[str, Any]]:
        return lanes_variant(self, graph.type(node.inputs[0]).shape[-1], math.prod(node.attrs["kernel"]))

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        fields: dict[str, Value] = {
            **pool_fields(node, graph),
            "zero_point": graph.type(node.inputs[0]).zero_point,
            **count_fields(node, graph),
        }
        rows = graph.type(node.outputs[0]).shape[1]
        return [Call(fields, (node.inputs[0],), node.outputs[0], rows=rows)]
