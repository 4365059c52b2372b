"""Which operators of an integer network compute real numbers: those that the user names, and those that no integer
kernel can run."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from mcugen.boards import Board
from mcugen.errors import Fault, UsageError
from mcugen.ir import DType, Graph
from mcugen.quantize.ptq import Ranges, quantize
from mcugen.select import ALIASES, choose


@dataclass(frozen=True)
class FloatNodes:
    """Nodes by name with the reason why they compute in float32."""

    reasons: dict[str, str]

    @property
    def types(self) -> dict[str, DType]:
        return dict.fromkeys(self.reasons, DType.FLOAT32)

    def notes(self) -> list[str]:
        return [f"{name} computes in float32: {why}" for name, why in self.reasons.items()]


def matching(graph: Graph, pattern: str) -> list[str]:
    """Nodes whose name, operator or origin a pattern (`*`, `?`) fits."""
    return [
        n.name
        for n in graph.nodes
        if n.op not in ALIASES and any(fnmatchcase(t, pattern) for t in (n.name, n.op, n.origin))
    ]


def named(graph: Graph, patterns: Iterable[str], option: str) -> FloatNodes:
    """The nodes that the user names. Raises UsageError for all patterns that fit none."""
    reasons: dict[str, str] = {}
    faults = []
    for pattern in patterns:
        found = matching(graph, pattern)
        reasons |= dict.fromkeys(found, f"asked for by {option} {pattern}")
        if not found:
            names = [n.name for n in graph.nodes] + sorted({n.op for n in graph.nodes})
            near = difflib.get_close_matches(pattern, names, 3, 0.3) or names[:3]
            faults.append(Fault(f"{option} {pattern}", "fits no layer", f"did you mean {', '.join(near)}?"))
    if faults:
        raise UsageError("no such layers", faults)
    return FloatNodes(reasons)


def fall_back(graph: Graph, ranges: Ranges, asked: FloatNodes, board: Board, usual: DType) -> FloatNodes:
    """All nodes that compute real numbers: those asked for, and those that no integer kernel runs on the board."""
    reasons = dict(asked.reasons)
    while True:
        integer = quantize(graph, ranges, dict.fromkeys(reasons, DType.FLOAT32), usual)
        names = {n.name for n in graph.nodes} - reasons.keys()
        found = {
            n.name: why
            for n in integer.nodes
            if n.name in names and n.op not in ALIASES and isinstance(why := choose(n, integer, board), str)
        }
        if not found:
            return FloatNodes(reasons)
        reasons |= found
