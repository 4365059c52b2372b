"""add and sub for the DSP extension, four bytes at a time, with broadcasting; in place over an operand of the output's
size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from mcugen.boards import Board
from mcugen.ir import Graph, Node
from mcugen.kernels.add_linear import _Pairwise
from mcugen.kernels.add_portable import node_loops
from mcugen.kernels.kernel import Value
from mcugen.short_form import SumForm, sum_form


def in_step(node: Node, graph: Graph) -> bool:
    """Whether both operands of the innermost loop go on byte by byte, four times at least."""
    length, *steps = node_loops(node, graph)[-1]
    return length >= 4 and steps == [1, 1]


class _PairwiseDsp(_Pairwise):
    """What the short forms of two int8 operands on four bytes at a time share."""

    headers: ClassVar[tuple[str, ...]] = (
        "mcugen_broadcast.h",
        "mcugen_dsp.h",
        "mcugen_bytes_dsp.h",
        "mcugen_saturate.h",
    )
    steps = "an innermost loop of at least 4 elements in which no operand is broadcast"

    def serves(self, board: Board) -> bool:
        return board.isa.dsp

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        reason = super().reject(node, graph, board)
        return reason if reason or in_step(node, graph) else f"not {self.steps}"


class AddDsp(_PairwiseDsp):
    name = "add_dsp"
    ops = ("add", "sub")
    limits = (
        "scales for which one product per operand gives the exact result",
        "at most 6 nested loops after merging axes",
        _PairwiseDsp.steps,
    )
    each = 7.0

    def _form(self, node: Node, graph: Graph) -> SumForm | None:
        return sum_form(node, graph, narrow=True)

    def form_fields(self, node: Node, graph: Graph) -> dict[str, Value] | None:
        form = self._form(node, graph)
        return None if form is None else vars(form)

    def variant(self, node: Node, graph: Graph) -> tuple[str, Mapping[str, Any]]:
        name, context = super().variant(node, graph)
        form = self._form(node, graph)
        assert form is not None
        return f"{name}_{form.shift}", {**context, "shift": form.shift}
