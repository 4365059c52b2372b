"""What the user wants of single layers: element types and ways to calibrate, by name or pattern."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TypeVar

from mcugen.calibrate.ranges import Method
from mcugen.errors import Fault, UsageError
from mcugen.ir import DType, Graph, Node
from mcugen.select import ALIASES

T = TypeVar("T")


@dataclass(frozen=True)
class LayerWish:
    """One wish; what is None is as everywhere. `where`: who said so, for messages."""

    match: str  # a layer's name, operator or origin; `*` and `?` stand for anything
    where: str
    type: DType | None = None
    method: Method | None = None
    kernel: str | None = None  # by name, whatever it costs


@dataclass(frozen=True)
class NodeTypes:
    """Element types of nodes by name that are not as everywhere, and why they compute real numbers."""

    types: dict[str, DType] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def notes(self) -> list[str]:
        return [f"{name} computes in float32: {why}" for name, why in self.reasons.items()]


def _matching(graph: Graph, pattern: str) -> list[Node]:
    return [
        n
        for n in graph.nodes
        if n.op not in ALIASES and any(fnmatchcase(t, pattern) for t in (n.name, n.op, n.origin))
    ]


def _choices(
    graph: Graph, wishes: Sequence[LayerWish], what: Callable[[LayerWish], T | None]
) -> dict[str, tuple[T, LayerWish]]:
    """What is wished for each node, by name: the last wish that fits it counts."""
    chosen: dict[str, tuple[T, LayerWish]] = {}
    for wish in wishes:
        value = what(wish)
        if value is not None:
            chosen |= {n.name: (value, wish) for n in _matching(graph, wish.match)}
    return chosen


def check_wishes(graph: Graph, wishes: Sequence[LayerWish]) -> None:
    """Raises UsageError for all wishes that fit no layer."""
    faults = []
    for wish in wishes:
        if not _matching(graph, wish.match):
            names = [n.name for n in graph.nodes] + sorted({n.op for n in graph.nodes})
            near = difflib.get_close_matches(wish.match, names, 3, 0.3) or names[:3]
            faults.append(Fault(wish.where, "fits no layer", f"did you mean {', '.join(near)}?"))
    if faults:
        raise UsageError("no such layers", faults)


def wished_types(graph: Graph, wishes: Sequence[LayerWish]) -> NodeTypes:
    """The element types that the user wants."""
    chosen = _choices(graph, wishes, lambda wish: wish.type)
    real = {n: f"asked for by {w.where}" for n, (t, w) in chosen.items() if t is DType.FLOAT32}
    return NodeTypes({name: dtype for name, (dtype, _) in chosen.items()}, real)


def wished_methods(graph: Graph, wishes: Sequence[LayerWish]) -> dict[str, Method]:
    """How the ranges of activations, by tensor, are found: those that the layers write."""
    chosen = _choices(graph, wishes, lambda wish: wish.method)
    return {o: chosen[n.name][0] for n in graph.nodes if n.name in chosen for o in n.outputs}


def wished_kernels(graph: Graph, wishes: Sequence[LayerWish]) -> dict[str, tuple[str, str]]:
    """The kernel that the user wants, and who said so, by the name of a node of the final graph."""
    chosen = _choices(graph, wishes, lambda wish: wish.kernel)
    return {name: (kernel, wish.where) for name, (kernel, wish) in chosen.items()}
