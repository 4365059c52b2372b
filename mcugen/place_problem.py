"""What the planner solves: buffers, the distances of every two whose lives meet, bounds, and a last check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import gcd

from mcugen.errors import Fault, InternalError


@dataclass(frozen=True)
class Buffer:
    """`size` bytes that live in steps first..last, both inclusive; a graph input has first = -1."""

    name: str
    size: int
    first: int
    last: int
    align: int = 1


@dataclass(frozen=True)
class Overlap:
    """The input dies at `step`, where the output is born, and the two may share bytes.

    ascending: offset(input) - offset(output) >= ascending is safe when the step runs in ascending order;
    descending: offset(output) - offset(input) >= descending when it runs in descending order. Bytes, also 0
    or negative; None: the kernel cannot run so. Declare all inputs that the kernel reads step by step, also
    those that live on: they say in which directions it can run. An input that it reads at any time as well has
    no overlap.
    """

    step: int
    input: str
    output: str
    ascending: int | None
    descending: int | None


@dataclass(frozen=True)
class Pair:
    """Buffers a < b (by index) whose lives meet. Distances by direction.

    b above a: offset(b) - offset(a) >= above[d]; b below a: offset(a) - offset(b) >= below[d].
    """

    a: int
    b: int
    above: tuple[int, int]
    below: tuple[int, int]
    step: int | None = None  # the step whose direction counts; None: both directions are alike


@dataclass(frozen=True)
class Problem:
    buffers: tuple[Buffer, ...]  # no empty ones, in canonical order
    pairs: tuple[Pair, ...]
    choices: Mapping[int, tuple[int, ...]]  # directions that a step with overlap can take
    neighbours: tuple[tuple[tuple[int, Pair], ...], ...] = field(repr=False)

    def keeps(self, pair: Pair, offsets: Sequence[int], direction: int) -> bool:
        """Whether the two buffers are far enough from each other when their step runs so."""
        rise = offsets[pair.b] - offsets[pair.a]
        return rise >= pair.above[direction] or -rise >= pair.below[direction]

    def peak(self, offsets: Sequence[int]) -> int:
        return max(offset + buffer.size for offset, buffer in zip(offsets, self.buffers, strict=True))


@dataclass(frozen=True)
class Solution:
    peak: int
    offsets: tuple[int, ...]
    directions: Mapping[int, int]


def check_arguments(buffers: Sequence[Buffer], overlaps: Sequence[Overlap]) -> None:
    faults: list[Fault] = []
    seen: set[str] = set()
    for buffer in buffers:
        if buffer.name in seen:
            faults.append(Fault(buffer.name, "two buffers have this name"))
        if buffer.size < 0 or buffer.align < 1 or buffer.last < buffer.first:
            faults.append(Fault(buffer.name, f"impossible buffer {buffer}"))
        seen.add(buffer.name)
    for overlap in overlaps:
        for name in (overlap.input, overlap.output):
            if name not in seen:
                faults.append(Fault(f"step {overlap.step}", f"overlap of unknown buffer {name}"))
    if faults:
        raise InternalError("the planner was given a contradiction", faults)


def problem_of(buffers: Sequence[Buffer], overlaps: Sequence[Overlap]) -> Problem:
    live = sorted(
        (buffer for buffer in buffers if buffer.size),
        key=lambda b: (b.first, b.last, -b.size, -b.align, b.name),
    )
    distances, choices = _usable(overlaps, {buffer.name: buffer for buffer in live})
    pairs: list[Pair] = []
    neighbours: list[list[tuple[int, Pair]]] = [[] for _ in live]
    for b, late in enumerate(live):
        for a, early in enumerate(live[:b]):
            if early.last < late.first:
                continue
            # The output is born after its input, so that it is always the later one in canonical order.
            pair = _pair(a, early, b, late, distances.get((early.name, late.name)))
            pairs.append(pair)
            neighbours[a].append((b, pair))
            neighbours[b].append((a, pair))
    used = {pair.step for pair in pairs}
    kept = {step: choices[step] for step in sorted(choices) if step in used}
    return Problem(tuple(live), tuple(pairs), kept, tuple(tuple(row) for row in neighbours))


def _usable(
    overlaps: Sequence[Overlap], buffers: Mapping[str, Buffer]
) -> tuple[dict[tuple[str, str], tuple[int | None, int | None]], dict[int, tuple[int, ...]]]:
    """Distances by (input, output) of the overlaps that can hold; the directions their steps can take.

    A step takes a direction only if the kernel can with every input that it declares: the worst case counts.
    """
    able: dict[int, set[int]] = {}
    found: dict[tuple[str, str], tuple[int | None, int | None]] = {}
    steps: set[int] = set()
    for overlap in overlaps:
        both = (overlap.ascending, overlap.descending)
        able.setdefault(overlap.step, {0, 1}).intersection_update(d for d in (0, 1) if both[d] is not None)
        source, result = buffers.get(overlap.input), buffers.get(overlap.output)
        if source is None or result is None:
            continue
        if source.first < overlap.step == source.last and result.first == overlap.step:
            key = (source.name, result.name)
            old = found.get(key, both)
            found[key] = (_worse(old[0], both[0]), _worse(old[1], both[1]))
            steps.add(overlap.step)
    found = {key: both for key, both in found.items() if able[buffers[key[1]].first]}
    return found, {step: tuple(sorted(able[step])) for step in steps if able[step]}


def _worse(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else max(one, other)


def _pair(a: int, early: Buffer, b: int, late: Buffer, overlap: tuple[int | None, int | None] | None) -> Pair:
    """The distances of two buffers; with an overlap, `early` is the input and `late` the output."""
    above, below = [early.size, early.size], [late.size, late.size]
    if overlap is not None:
        # Beyond these limits the buffers are apart, which the other side of the pair already says.
        if overlap[0] is not None:
            below[0] = max(min(overlap[0], late.size), -early.size)
        if overlap[1] is not None:
            above[1] = max(min(overlap[1], early.size), -late.size)
    unit = gcd(early.align, late.align)
    up = (round_up(above[0], unit), round_up(above[1], unit))
    down = (round_up(below[0], unit), round_up(below[1], unit))
    return Pair(a, b, up, down, None if overlap is None else late.first)


def round_up(value: int, unit: int) -> int:
    return -(-value // unit) * unit


def live_bound(problem: Problem) -> int:
    """Bytes that live at the same time, a sound bound: where a step overlaps, inputs and outputs count once.

    Sizes are rounded up to what divides every alignment, except that of the buffer on top.
    """
    unit = gcd(*(buffer.align for buffer in problem.buffers))
    sizes = [round_up(buffer.size, unit) for buffer in problem.buffers]
    bound = 0
    for step in sorted({buffer.first for buffer in problem.buffers}):
        live = [i for i, buffer in enumerate(problem.buffers) if buffer.first <= step <= buffer.last]
        pairs = [pair for i in live for j, pair in problem.neighbours[i] if pair.step == step and j == pair.a]
        inputs, outputs = {pair.a for pair in pairs}, {pair.b for pair in pairs}
        together = 0
        if pairs:
            parts = max(sum(sizes[i] for i in inputs), sum(sizes[i] for i in outputs))
            together = min(
                max(parts, *(_union(pair, sizes[pair.a], sizes[pair.b], d) for pair in pairs))
                for d in problem.choices[step]
            )
        apart = sum(sizes[i] for i in live if i not in inputs | outputs)
        slack = max(sizes[i] - problem.buffers[i].size for i in live)
        bound = max(bound, together + apart - slack)
    return round_up(bound, unit_of(problem))


def _union(pair: Pair, source: int, result: int, direction: int) -> int:
    """The least bytes that an overlapping input and output cover together."""
    if direction == 0:
        return max(result, source + max(pair.below[0], 0))
    return max(source, result + max(pair.above[1], 0))


def unit_of(problem: Problem) -> int:
    """Divides every size and distance and fits every alignment: offsets of a least plan are multiples."""
    sizes = [buffer.size for buffer in problem.buffers]
    unit = gcd(*sizes, *(d for pair in problem.pairs for d in (*pair.above, *pair.below)))
    while misfits := [b.align for b in problem.buffers if unit % b.align and b.align % unit]:
        unit = gcd(unit, misfits[0])
    return unit


def ascending_where_possible(problem: Problem, solution: Solution) -> Solution:
    """The same offsets; steps descend only where their overlap needs it."""
    needed = {
        pair.step
        for pair in problem.pairs
        if pair.step is not None and not problem.keeps(pair, solution.offsets, 0)
    }
    able = problem.choices
    directions = {step: d if step in needed else able[step][0] for step, d in solution.directions.items()}
    return Solution(solution.peak, solution.offsets, directions)


def check_solution(problem: Problem, solution: Solution) -> None:
    """Every distance once more, in integers."""
    faults: list[Fault] = []
    for buffer, offset in zip(problem.buffers, solution.offsets, strict=True):
        if offset < 0 or offset % buffer.align or offset + buffer.size > solution.peak:
            faults.append(Fault(buffer.name, f"offset {offset} is impossible"))
    for pair in problem.pairs:
        d = 0 if pair.step is None else solution.directions[pair.step]
        if not problem.keeps(pair, solution.offsets, d):
            names = f"{problem.buffers[pair.a].name}, {problem.buffers[pair.b].name}"
            faults.append(Fault(names, "are too close"))
    if faults:
        raise InternalError("the planner contradicts itself", faults)
