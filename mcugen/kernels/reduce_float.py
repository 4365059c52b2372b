"""mean, sum, reduce_max and reduce_min in float32 for every core: one output element at a time, no scratch, works in
place. One kernel per operator, all from the same template."""

from __future__ import annotations

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import DType, Graph, Node
from mcugen.kernels.kernel import Call, Kernel, Tables
from mcugen.kernels.mean_portable import reduction_access, reduction_fields


class SumFloat(Kernel):
    """`context`: an accumulator's beginning, what it becomes with a `value`, and the result."""

    name = "sum_float"
    ops = ("sum",)
    types = ((DType.FLOAT32, DType.FLOAT32),)
    headers = ("mcugen_float.h", "mcugen_wide.h")
    template = "reduce_float"
    context = {"what": "the sum", "start": "0.0f", "step": "acc + value", "result": "acc"}

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        return 8.0 * graph.type(node.inputs[0]).elements + 40.0 * graph.type(node.outputs[0]).elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return (reduction_access(node, graph),)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        return [Call(reduction_fields(node, graph), (node.inputs[0],), node.outputs[0])]


class MeanFloat(SumFloat):
    name = "mean_float"
    ops = ("mean",)
    context = {
        "what": "the sum, divided once,",
        "start": "0.0f",
        "step": "acc + value",
        "result": "acc / (float)d->reduced",
    }


class ReduceMaxFloat(SumFloat):
    name = "reduce_max_float"
    ops = ("reduce_max",)
    context = {
        "what": "the largest, no NaN,",
        "start": "-MCUGEN_INFINITY",
        "step": "value > acc ? value : acc",
        "result": "acc",
    }


class ReduceMinFloat(SumFloat):
    name = "reduce_min_float"
    ops = ("reduce_min",)
    context = {
        "what": "the smallest, no NaN,",
        "start": "MCUGEN_INFINITY",
        "step": "value < acc ? value : acc",
        "result": "acc",
    }
