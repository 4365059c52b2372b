"""softmax in plain C for every core: three passes over each row, exponentials computed twice; in place."""

from __future__ import annotations

import numpy as np

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.fixed import softmax_params
from mcugen.ir import Graph, Node, TensorType
from mcugen.kernels.kernel import Call, Kernel, Tables, Value
from mcugen.ops.softmax import DEPTH_LIMIT


def softmax_access(rows: int, depth: int, size: int = 1) -> Access:
    """Per row one step that reads it all (maximum and sum), then one per element that reads and writes it; `size`
    is bytes per element."""
    first = np.arange(rows, dtype=np.int64)[:, None] * depth * size
    element = np.broadcast_to(np.arange(depth, dtype=np.int64) * size, (rows, depth)) + first
    begin = np.concatenate([first, element], axis=1).reshape(-1)
    read_end = np.concatenate([first + depth * size, element + size], axis=1).reshape(-1)
    write_end = np.concatenate([first, element + size], axis=1).reshape(-1)
    return Access(begin, read_end, begin, write_end, atomic=True)


def softmax_fields(x: TensorType, beta: float) -> dict[str, Value]:
    """Descriptor fields of the rows and of the exponentials."""
    multiplier, shift, diff_min = softmax_params(beta, x.scale)
    return {
        "rows": x.elements // x.shape[-1],
        "depth": x.shape[-1],
        "multiplier": multiplier,
        "shift": shift,
        "diff_min": max(diff_min, -256),  # a difference of int8 never reaches -256
    }


class SoftmaxPortable(Kernel):
    name = "softmax_portable"
    ops = ("softmax",)
    limits = ("fewer than 4,096 elements along the axis",)

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        depth = graph.type(node.inputs[0]).shape[-1]
        return f"{depth} elements are too many for one sum" if depth >= DEPTH_LIMIT else None

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        return 350.0 * graph.type(node.outputs[0]).elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        x = graph.type(node.inputs[0])
        return (softmax_access(x.elements // x.shape[-1], x.shape[-1]),)

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        depth = graph.type(node.inputs[0]).shape[-1]
        return (f"sum of exponentials <= {depth} in Q12.19, from the number of elements",)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        fields = softmax_fields(graph.type(node.inputs[0]), node.attrs["beta"])
        return [Call(fields, node.inputs, node.outputs[0])]
