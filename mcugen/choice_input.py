"""Whether convolutions read a channels-first input as it comes, or a transposed copy of it.

A copy costs arena while it is made; kernels are faster with neighbouring channels, most of all with many of them, and
some have no other way. Both graphs are decided, and the aim prefers one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mcugen.boards import Board
from mcugen.budget import arena_budget
from mcugen.check import check_graph
from mcugen.choice import LEAST_RAM, PATIENCE, ROOM, Decision, Optimize, decide, slack
from mcugen.errors import McugenError, UnsupportedError, UsageError
from mcugen.ir import Graph
from mcugen.quantize.input_transpose import fuse_input_transpose
from mcugen.quantize.layers import LayerWish, wished_kernels
from mcugen.storage import place_states


def decide_with_inputs(
    graph: Graph, board: Board, optimize: Optimize, wishes: Sequence[LayerWish] = (), keep_all: bool = False
) -> tuple[Graph, Decision]:
    """The graph, perhaps without transposes of its inputs, and its layers' kernels and places; see `choice.decide`.
    Raises what that raises where neither graph can be."""
    ways = [graph]
    fused = check_graph(fuse_input_transpose(graph), "input transposes")
    if fused.nodes != graph.nodes:
        ways.append(fused)
    found: list[tuple[Graph, Decision]] = []
    failed: McugenError | None = None
    for way in ways:
        try:
            decision = decide(way, board, optimize, wished_kernels(way, wishes), keep_all and len(ways) == 1)
            found.append((way, decision))
        except (UnsupportedError, UsageError) as error:
            failed = failed or error
    if not found:
        assert failed is not None
        raise failed
    ram = arena_budget(board, place_states(graph)[1])
    best = preferred([decision for _, decision in found], optimize, ram)
    way, decision = found[best]
    if keep_all and len(ways) > 1:
        decision = decide(way, board, optimize, wished_kernels(way, wishes), keep_all)
    return way, decision


def preferred(decisions: Sequence[Decision], optimize: Optimize, ram: int | None = None) -> int:
    """Which of several decisions, that compute the same, an aim prefers: one that fits the board, if any does."""

    def fits(d: Decision) -> bool:
        return (ram is None or d.storage.arena <= ram) and d.choice.fits(d.picked)

    fitting = [d for d in decisions if fits(d)] or list(decisions)
    key = _key(fitting, optimize)
    best = min(fitting, key=key)
    return next(i for i, d in enumerate(decisions) if d is best)


def _cycles(decision: Decision) -> int:
    return decision.choice.cycles(decision.picked)


def _key(decisions: Sequence[Decision], optimize: Optimize) -> Callable[[Decision], tuple[float, ...]]:
    """What is to be the least: see docs/optimize.md for the rules of each aim."""
    least = min(d.storage.arena for d in decisions)
    if optimize is Optimize.RAM:
        return lambda d: (d.storage.arena, _cycles(d))
    if optimize is Optimize.SIZE:
        return lambda d: (d.choice.bytes(d.picked), _cycles(d))
    if optimize is Optimize.SPEED:
        rate = min(map(_cycles, decisions)) / max(least, LEAST_RAM)
        return lambda d: (_cycles(d) + rate * d.storage.arena, d.storage.arena)
    tight, roomy = least + slack(least), least + max(ROOM, least // 4)
    slow, fast = (min(_cycles(d) for d in decisions if d.storage.arena <= m) for m in (tight, roomy))
    limit = roomy if slow > PATIENCE * fast else tight
    rate = max(d.goal.per_byte for d in decisions)
    return lambda d: (d.storage.arena > limit, _cycles(d) + rate * d.choice.bytes(d.picked), d.storage.arena)
