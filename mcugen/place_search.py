"""First plans for the arena: a few greedy orders and a local search, deterministic."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence

from mcugen.place_problem import Pair, Problem, Solution, round_up

_SEARCH_WORK = 1_500_000  # pairs the local search may look at: about a second


def search(problem: Problem, lower: int) -> Solution:
    """The best of the greedy orders and of orders nearby, where a buffer at the peak was moved."""
    n = len(problem.buffers)
    best: Solution | None = None
    order: list[int] = []
    for candidate in _orders(problem):
        solution = _greedy(problem, candidate)
        if best is None or solution.peak < best.peak:
            best, order = solution, candidate
    assert best is not None
    # Only Random.random() is promised to stay the same in every Python.
    dice = random.Random(1).random
    current, rounds = best, _SEARCH_WORK // (2 * len(problem.pairs) + n)
    for _ in range(min(rounds, 40 * n)):
        if best.peak == lower:
            break
        tops = [i for i in range(n) if current.offsets[i] + problem.buffers[i].size == current.peak]
        top = tops[int(dice() * len(tops))]
        moved = [i for i in order if i != top]
        moved.insert(int(dice() * n), top)
        one, other = int(dice() * n), int(dice() * n)
        moved[one], moved[other] = moved[other], moved[one]
        solution = _greedy(problem, moved)
        if solution.peak <= current.peak:
            current, order = solution, moved
        if solution.peak < best.peak:
            best = solution
    return best


def _orders(problem: Problem) -> Iterator[list[int]]:
    """By size, by length of life, by their product, by birth, by need at the fullest step."""
    buffers = problem.buffers
    everyone = range(len(buffers))
    lives = [buffer.last - buffer.first + 1 for buffer in buffers]
    crowd = [buffers[i].size + sum(buffers[j].size for j, _ in problem.neighbours[i]) for i in everyone]
    yield sorted(everyone, key=lambda i: (-buffers[i].size, -lives[i], i))
    yield sorted(everyone, key=lambda i: (-lives[i], -buffers[i].size, i))
    yield sorted(everyone, key=lambda i: (-lives[i] * buffers[i].size, i))
    yield sorted(everyone, key=lambda i: (-crowd[i], -buffers[i].size, i))
    yield list(everyone)
    yield list(reversed(everyone))


def _greedy(problem: Problem, order: Sequence[int]) -> Solution:
    """Buffers one by one at their lowest free offset; a step's direction is settled when it first matters."""
    offsets = [-1] * len(problem.buffers)
    directions: dict[int, int] = {}
    for i in order:
        met = [(offsets[j], pair) for j, pair in problem.neighbours[i] if offsets[j] >= 0]
        open_steps = sorted({p.step for _, p in met if p.step is not None and p.step not in directions})
        trials: list[dict[int, int]] = [{}]
        for step in open_steps:
            trials = [{**trial, step: d} for trial in trials for d in problem.choices[step]]
        offset, trial = min(
            ((_lowest(problem, i, met, {**directions, **trial}), k) for k, trial in enumerate(trials))
        )
        offsets[i] = offset
        directions |= trials[trial]
    return Solution(problem.peak(offsets), tuple(offsets), directions)


def _lowest(problem: Problem, i: int, met: Sequence[tuple[int, Pair]], directions: Mapping[int, int]) -> int:
    """The lowest aligned offset of buffer i that keeps its distance to all buffers already placed."""
    forbidden: list[tuple[int, int]] = []  # open intervals
    for offset, pair in met:
        d = 0 if pair.step is None else directions[pair.step]
        over, under = (pair.above[d], pair.below[d]) if i == pair.b else (pair.below[d], pair.above[d])
        forbidden.append((offset - under, offset + over))
    forbidden.sort()
    align = problem.buffers[i].align
    result = 0
    for begin, end in forbidden:
        if begin < result < end:
            result = round_up(end, align)
    return result
