"""sigmoid and tanh of int16 from one table of 256 entries, as TensorFlow Lite Micro's; for every core, in place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.fixed16 import sigmoid_table
from mcugen.ir import DType, Graph, Node
from mcugen.kernels.kernel import Call, Kernel, Tables, Value, elementwise_access
from mcugen.ops.unary16 import sigmoid_factor, squashing

CONTEXTS: Mapping[str, Mapping[str, Any]] = {
    "sigmoid": {"function": "sigmoid", "bits": 9, "parts": 512, "last": 0x7FFF << 10},
    "tanh": {"function": "tanh", "bits": 8, "parts": 256, "last": 0xFFFF << 8},
}


class SigmoidInt16(Kernel):
    name = "sigmoid_int16"
    ops = ("unary",)
    types = ((DType.INT16, DType.INT16),)
    headers = ("mcugen_wide.h",)
    limits = ("sigmoid and tanh whose output scale is 1/32768",)

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        return "the function is neither sigmoid nor tanh" if squashing(node, graph) is None else None

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        return 35.0 * graph.type(node.outputs[0]).elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return (elementwise_access(graph.type(node.outputs[0]).elements, 2, 2),)

    def variant(self, node: Node, graph: Graph) -> tuple[str, Mapping[str, Any]]:
        function = node.attrs["function"][0]
        return f"{function}_int16", CONTEXTS[function]

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        multiplier, shift = sigmoid_factor(node, graph)
        fields: dict[str, Value] = {
            "table": tables.add(f"{layer}_sigmoid", sigmoid_table().astype(np.uint16)),
            "elements": graph.type(node.outputs[0]).elements,
            "multiplier": multiplier,
            "shift": shift,
        }
        return [Call(fields, node.inputs, node.outputs[0])]
