"""add and sub in plain C for every core, with broadcasting; in place over an operand of the output's size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import DType, Graph, Node
from mcugen.kernels.kernel import Call, Kernel, Tables, Value, elementwise_access
from mcugen.ops import OPS
from mcugen.ops.add import LEFT_SHIFT, Add, multipliers
from mcugen.ops.op import activation_limits

MAX_AXES = 6  # of the loops, after merging
LARGEST = {DType.INT8: 255, DType.INT16: 32768}  # operand without its zero point


def loops(shape: Sequence[int], a: Sequence[int], b: Sequence[int]) -> list[tuple[int, int, int]]:
    """(extent, step of a, step of b) of the nested loops over a broadcast output, outermost first.

    Axes of extent 1 are left out, neighbours that both operands cross at a constant step are one. There is
    always an innermost loop.
    """
    merged: list[tuple[int, int, int]] = []
    step_a = step_b = 1
    for extent, extent_a, extent_b in reversed(list(zip(shape, a, b, strict=True))):
        if extent == 1:
            continue
        step = (step_a if extent_a > 1 else 0, step_b if extent_b > 1 else 0)
        step_a, step_b = step_a * extent_a, step_b * extent_b
        if merged:
            inner, inner_a, inner_b = merged[-1]
            if step == (inner_a * inner, inner_b * inner):
                merged[-1] = (extent * inner, inner_a, inner_b)
                continue
        merged.append((extent, *step))
    return merged[::-1] or [(1, 0, 0)]


def node_loops(node: Node, graph: Graph) -> list[tuple[int, int, int]]:
    """The loops of a binary node."""
    return loops(graph.type(node.outputs[0]).shape, *(graph.type(i).shape for i in node.inputs))


def broadcast_loops(outer: Sequence[tuple[int, int, int]]) -> Value:
    """mcugen_broadcast_t of the loops around the innermost one."""
    filled = [(1, 0, 0)] * (MAX_AXES - 1 - len(outer)) + list(outer)
    extents, a_steps, b_steps = zip(*filled, strict=True)
    rows = int(np.prod(extents, dtype=np.int64))
    return (rows, extents, a_steps, b_steps)


def loop_fields(node: Node, graph: Graph) -> dict[str, Value]:
    """Descriptor fields of a binary kernel's loops."""
    (*outer, (length, a_step, b_step)) = node_loops(node, graph)
    return {"loops": broadcast_loops(outer), "length": length, "a_step": a_step, "b_step": b_step}


def broadcast_fields(node: Node, graph: Graph) -> dict[str, Value]:
    """Descriptor fields of a binary kernel's loops, offsets and clamp."""
    a, b = (graph.type(i) for i in node.inputs)
    y = graph.type(node.outputs[0])
    lo, hi = activation_limits(node, y)
    return {
        **loop_fields(node, graph),
        "a_offset": -a.zero_point,
        "b_offset": -b.zero_point,
        "y_offset": y.zero_point,
        "lo": lo,
        "hi": hi,
    }


def binary_access(node: Node, graph: Graph) -> tuple[Access | None, ...]:
    """In place over an activation of the output's shape; a broadcast one is read again and again."""
    shape, size = graph.type(node.outputs[0]).shape, graph.type(node.outputs[0]).dtype.size
    return tuple(
        elementwise_access(graph.type(i).elements, size, size)
        if not graph.is_constant(i) and graph.type(i).shape == shape
        else None
        for i in node.inputs
    )


def reject_binary(node: Node, graph: Graph, bound: int, shift: int) -> str | None:
    """Why a binary kernel cannot compute the node; `bound` of what is shifted left by `shift`."""
    if len(node_loops(node, graph)) > MAX_AXES:
        return f"broadcasting needs more than {MAX_AXES} nested loops"
    if bound << max(shift, 0) >= 1 << 31:
        return "the output's scale is so small beside the operands' that 32 bits do not hold the result"
    return None


def sum_bound(node: Node, graph: Graph) -> int:
    """What |a + b| after rescaling cannot exceed: either is at most half of the largest operand, shifted, rounded."""
    dtype = graph.type(node.outputs[0]).dtype
    return 2 * ((LARGEST[dtype] << LEFT_SHIFT[dtype]) // 2 + 1)


class AddPortable(Kernel):
    name = "add_portable"
    ops = ("add", "sub")
    limits = (
        "at most 6 nested loops after merging axes",
        "no output scale so far below the operands' that the sum leaves 32 bits",
    )
    headers = ("mcugen_broadcast.h",)

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        return reject_binary(node, graph, sum_bound(node, graph), multipliers(node, graph)[2][1])

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        return 90.0 * graph.type(node.outputs[0]).elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return binary_access(node, graph)

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (f"|rescaled sum| <= {sum_bound(node, graph):,}, from the operands' type",)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        fields = broadcast_fields(node, graph)
        for operand, (multiplier, shift) in zip(("a", "b", "y"), multipliers(node, graph), strict=True):
            fields[f"{operand}_multiplier"] = multiplier
            fields[f"{operand}_shift"] = shift
        room = OPS[node.op]
        assert isinstance(room, Add)
        fields["b_sign"] = room.sign
        return [Call(fields, node.inputs, node.outputs[0])]
