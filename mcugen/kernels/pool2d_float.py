"""max_pool2d and average_pool2d in float32 for every core: one output element at a time, no scratch, row range."""

from __future__ import annotations

import math

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import DType, Graph, Node
from mcugen.kernels.average_pool2d_portable import count_fields
from mcugen.kernels.kernel import Call, Kernel, Tables, Value, window_row_access
from mcugen.kernels.max_pool2d_portable import window_fields
from mcugen.ops.op import clamp_of


class MaxPool2DFloat(Kernel):
    """`context`: an accumulator's beginning, what it becomes with a `value`, and the result of `counted` cells."""

    name = "max_pool2d_float"
    ops = ("max_pool2d",)
    types = ((DType.FLOAT32, DType.FLOAT32),)
    headers = ("mcugen_float.h", "mcugen_wide.h", "mcugen_window.h")
    template = "pool2d_float"
    context = {
        "what": "the largest value",
        "start": "-MCUGEN_INFINITY",
        "step": "value > acc ? value : acc",
        "counted": "",
    }

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        return (12.0 * math.prod(node.attrs["kernel"]) + 40.0) * graph.type(node.outputs[0]).elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return (window_row_access(node, graph, node.attrs["kernel"][0]),)

    def counted(self, node: Node, graph: Graph) -> dict[str, Value]:
        """Descriptor fields of the divisor."""
        return {}

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        lo, hi = clamp_of(node)
        window = window_fields(node, graph)
        fields: dict[str, Value] = {"lo": lo, "hi": hi, **window, **self.counted(node, graph)}
        rows = graph.type(node.outputs[0]).shape[1]
        return [Call(fields, (node.inputs[0],), node.outputs[0], rows=rows)]


class AveragePool2DFloat(MaxPool2DFloat):
    name = "average_pool2d_float"
    ops = ("average_pool2d",)
    context = {"what": "the mean", "start": "0.0f", "step": "acc + value", "counted": "yes"}

    def counted(self, node: Node, graph: Graph) -> dict[str, Value]:
        return count_fields(node, graph)
