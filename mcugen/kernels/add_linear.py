"""add and sub in plain C for every core where one multiplication per operand is exact, with broadcasting; in place
over an operand of the output's size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import Graph, Node
from mcugen.kernels.add_portable import MAX_AXES, binary_access, loop_fields, node_loops
from mcugen.kernels.kernel import Call, Kernel, Tables, Value
from mcugen.ops.op import activation_limits
from mcugen.short_form import sum_form


def is_flat(node: Node, graph: Graph) -> bool:
    """Whether a binary node is one loop over both operands, byte by byte."""
    loops = node_loops(node, graph)
    return len(loops) == 1 and loops[0][1:] == (1, 1)


def clamp_fields(node: Node, graph: Graph) -> dict[str, Value]:
    """Descriptor fields of a clamp, none where it is that of the type."""
    lo, hi = activation_limits(node, graph.type(node.outputs[0]))
    return {} if (lo, hi) == (-128, 127) else {"lo": lo, "hi": hi}


class _Pairwise(Kernel):
    """What the short forms of operators of two int8 operands share: one C function per kind of loop and of clamp."""

    headers: ClassVar[tuple[str, ...]] = ("mcugen_broadcast.h", "mcugen_saturate.h")
    each: ClassVar[float]  # cycles

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        if len(node_loops(node, graph)) > MAX_AXES:
            return f"broadcasting needs more than {MAX_AXES} nested loops"
        return None if self.form_fields(node, graph) is not None else "no short form of its scales is exact"

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        return self.each * graph.type(node.outputs[0]).elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return binary_access(node, graph)

    def variant(self, node: Node, graph: Graph) -> tuple[str, Mapping[str, Any]]:
        flat, clamped = is_flat(node, graph), bool(clamp_fields(node, graph))
        name = self.name + ("" if flat else "_broadcast") + ("_clamp" if clamped else "")
        return name, {**self.context, "flat": flat, "clamped": clamped}

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return ("short form exact on all 65,536 pairs of bytes",)

    def form_fields(self, node: Node, graph: Graph) -> dict[str, Value] | None:
        """Descriptor fields of the short form; None if there is none."""
        raise NotImplementedError(self.name)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        fields, form = loop_fields(node, graph), self.form_fields(node, graph)
        assert form is not None
        kept = {"length": fields["length"]} if is_flat(node, graph) else fields
        return [Call({**kept, **form, **clamp_fields(node, graph)}, node.inputs, node.outputs[0])]


class AddLinear(_Pairwise):
    name = "add_linear"
    ops = ("add", "sub")
    limits = (
        "scales for which one product per operand gives the exact result",
        "at most 6 nested loops after merging axes",
    )
    each = 11.0

    def form_fields(self, node: Node, graph: Graph) -> dict[str, Value] | None:
        form = sum_form(node, graph)
        return None if form is None else vars(form)
