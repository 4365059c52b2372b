"""mean and sum in plain C for every core: no scratch, works in place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import Graph, Node
from mcugen.kernels.kernel import Call, Kernel, Tables, Value
from mcugen.kernels.max_pool2d_portable import lanes_variant
from mcugen.ops.mean import mean_multiplier, outer_reduced_inner


def reduction_access(node: Node, graph: Graph) -> Access:
    """Element by element of [outer][inner], each from all of [outer][reduced][inner]'s middle axis."""
    outer, reduced, inner = outer_reduced_inner(node, graph)
    read, written = (graph.type(name).dtype.size for name in (node.inputs[0], node.outputs[0]))
    t = np.arange(outer * inner, dtype=np.int64)
    begin = t // inner * (reduced * inner) + t % inner
    end = begin + (reduced - 1) * inner + 1
    return Access(begin * read, end * read, t * written, (t + 1) * written, atomic=True)


def reduction_fields(node: Node, graph: Graph) -> dict[str, Value]:
    """The sizes with which every reduction's descriptor begins."""
    return dict(zip(("outer", "reduced", "inner"), outer_reduced_inner(node, graph), strict=True))


class MeanPortable(Kernel):
    name = "mean_portable"
    ops = ("mean", "sum")

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        return 5.0 * graph.type(node.inputs[0]).elements + 60.0 * graph.type(node.outputs[0]).elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return (reduction_access(node, graph),)

    def variant(self, node: Node, graph: Graph) -> tuple[str, Mapping[str, Any]]:
        _, reduced, inner = outer_reduced_inner(node, graph)
        return lanes_variant(self, 1 if inner % 4 else inner, reduced)

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        zero_point = graph.type(node.inputs[0]).zero_point
        bound = outer_reduced_inner(node, graph)[1] * max(127 - zero_point, 128 + zero_point)
        return (f"|accumulator| <= {bound:,}",)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        multiplier, shift = mean_multiplier(node, graph)
        fields: dict[str, Value] = {
            **reduction_fields(node, graph),
            "x_zero_point": graph.type(node.inputs[0]).zero_point,
            "y_zero_point": graph.type(node.outputs[0]).zero_point,
            "multiplier": multiplier,
            "shift": shift,
        }
        return [Call(fields, (node.inputs[0],), node.outputs[0])]
