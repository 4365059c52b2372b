"""log_softmax in plain C for every core: three passes over each row; in place."""

from __future__ import annotations

from mcugen.fixed import softmax_params
from mcugen.fixed_math import log_softmax_params
from mcugen.ir import Graph, Node
from mcugen.kernels.kernel import Call, Tables
from mcugen.kernels.softmax_portable import SoftmaxPortable, softmax_fields


class LogSoftmaxPortable(SoftmaxPortable):
    name = "log_softmax_portable"
    ops = ("log_softmax",)
    headers = ("mcugen_log.h",)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        x = graph.type(node.inputs[0])
        fields = softmax_fields(x, 1.0)
        multiplier, shift, _ = softmax_params(1.0, x.scale)
        fields["reverse_multiplier"], fields["reverse_shift"] = log_softmax_params(multiplier, shift)
        return [Call(fields, node.inputs, node.outputs[0])]
