"""The arena planner: an offset for every buffer, a direction for every overlapping step, the least arena.

It knows no operators. Every two buffers whose lives meet lie one above the other with a minimum distance:
the lower one's size, or, for an input that dies where the output is born, what the kernel's access pattern
asks for (`mcugen.access`). The direction of a step is one choice, shared by all its overlapping inputs: a
choice per pair would let two inputs of one ADD each look safe and destroy each other.

A few greedy orders and a local search give a first plan; HiGHS proves it or improves it. The solver works in
floating point, so only its order and directions are used: the offsets are recomputed in integers as the
least fixpoint of the distances, and checked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mcugen.access import Direction
from mcugen.place_mip import improve
from mcugen.place_problem import (
    Buffer,
    Overlap,
    Solution,
    ascending_where_possible,
    check_arguments,
    check_solution,
    live_bound,
    problem_of,
)
from mcugen.place_search import search

__all__ = ["Buffer", "Overlap", "Plan", "place"]

_DIRECTIONS = (Direction.ASCENDING, Direction.DESCENDING)  # a direction is an index into this
_MIP_PAIRS = 2_500  # more binaries than this are left to the local search


@dataclass(frozen=True)
class Plan:
    """Offsets by buffer name, the direction of every step (also of those without overlap), the arena's bytes.

    `lower_bound`: bytes that no plan can go below, proven; size - lower_bound is the gap.
    """

    offsets: Mapping[str, int]
    directions: Mapping[int, Direction]
    size: int
    lower_bound: int


def place(buffers: Sequence[Buffer], overlaps: Sequence[Overlap] = (), node_limit: int = 20_000) -> Plan:
    """The smallest arena that keeps every buffer whole while it lives, up to `node_limit` nodes of search.

    The same plan from run to run: one thread, a fixed seed, no clock, and no influence of the order in which
    buffers and overlaps are given. Overlaps that cannot hold (the input lives on, or is not born before the
    step) are ignored; several for the same step, input and output must all hold.

    Raises InternalError for buffers that contradict themselves, and for overlaps of unknown buffers.
    """
    check_arguments(buffers, overlaps)
    problem = problem_of(buffers, overlaps)
    best, lower = Solution(0, (), {}), 0
    if problem.buffers:
        lower = live_bound(problem)
        best = search(problem, lower)
        if best.peak > lower and len(problem.pairs) <= _MIP_PAIRS:
            best, lower = improve(problem, best, lower, node_limit)
        best = ascending_where_possible(problem, best)
        check_solution(problem, best)
    offsets = {buffer.name: 0 for buffer in buffers}
    offsets |= {buffer.name: offset for buffer, offset in zip(problem.buffers, best.offsets, strict=True)}
    steps = {step for buffer in buffers for step in (buffer.first, buffer.last)}
    steps = {step for step in steps | {overlap.step for overlap in overlaps} if step >= 0}
    directions = {step: _DIRECTIONS[best.directions.get(step, 0)] for step in sorted(steps)}
    return Plan(offsets, directions, best.peak, lower)
