"""Checks a memory plan by other means than the planner's: buffer against buffer, then byte by byte in time.

Nothing here knows of distances. The simulation keeps, for every byte of the arena, which buffer wrote it
last, runs the steps in order and direction, and asks of every read whether its byte is still its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mcugen.access import Access, Direction
from mcugen.errors import Fault, InternalError

if TYPE_CHECKING:  # the types alone: the check shares no code with the planner
    from mcugen.place import Buffer, Plan

Ints = NDArray[np.int64]

_NOBODY = -1
_NEVER_WRITTEN = np.iinfo(np.int64).max
_NEVER_READ = -1
_ANY_TIME = -1  # before all reads: spoils every one of them
_EXPAND = 64  # ranges longer than this on average are painted one by one


@dataclass(frozen=True)
class StepAccess:
    """One step: writes `output` (None: no buffer, but a state), reads `inputs` as their accesses say, and
    `whole_reads` at any time.

    All accesses of a step count the same time, so they have the same number of steps t; that holds for the
    outputs of a step with several too (one StepAccess each). Without any access the output is written at any
    time. Constants are not listed.
    """

    step: int
    output: str | None
    inputs: tuple[tuple[str, Access], ...]
    direction: Direction
    whole_reads: tuple[str, ...] = ()


def check_plan(plan: Plan, buffers: Sequence[Buffer], steps: Sequence[StepAccess]) -> None:
    """Raises InternalError with all faults, unless every byte that is read is still what its buffer wrote.

    Buffers that no StepAccess writes (graph inputs, scratch, state) count as written whole when their life
    begins, before the step does anything else.
    """
    faults = list(_static_faults(plan, buffers, steps))
    if not faults:
        faults = [*_pair_faults(plan, buffers, steps), *_Simulation(plan, buffers, steps).faults()]
    if faults:
        raise InternalError("the memory plan is wrong", faults)


def _static_faults(plan: Plan, buffers: Sequence[Buffer], steps: Sequence[StepAccess]) -> Iterator[Fault]:
    """What makes a simulation pointless: unknown names, offsets outside, wrong lives, times that disagree."""
    by_name = {buffer.name: buffer for buffer in buffers}
    if plan.lower_bound > plan.size:
        yield Fault("arena", f"lower bound {plan.lower_bound} exceeds the size {plan.size}")
    for buffer in buffers:
        offset = plan.offsets.get(buffer.name)
        if offset is None:
            yield Fault(buffer.name, "has no offset")
            continue
        if offset % buffer.align:
            yield Fault(buffer.name, f"offset {offset} is no multiple of {buffer.align}")
        if offset < 0 or offset + buffer.size > plan.size:
            yield Fault(buffer.name, f"bytes {offset}..{offset + buffer.size} leave the arena of {plan.size}")
    for step in steps:
        yield from _step_faults(plan, by_name, step)
    for number, parts in _by_step(steps).items():
        if len({access.write_begin.size for part in parts for _, access in part.inputs}) > 1:
            yield Fault(f"step {number}", "its accesses count time differently")


def _step_faults(plan: Plan, buffers: Mapping[str, Buffer], step: StepAccess) -> Iterator[Fault]:
    where = f"step {step.step}"
    if plan.directions.get(step.step, Direction.ASCENDING) is not step.direction:
        yield Fault(where, f"runs {step.direction}, but was planned otherwise")
    written = () if step.output is None else (step.output,)
    for name in (*written, *step.whole_reads, *(name for name, _ in step.inputs)):
        if name not in buffers:
            yield Fault(where, f"uses {name}, which is no buffer")
        elif not buffers[name].first <= step.step <= buffers[name].last:
            yield Fault(where, f"uses {name}, which lives in other steps")
    for name in written:
        if name in buffers and buffers[name].first != step.step:
            yield Fault(where, f"writes {name}, which was not born here")
    for name, access in step.inputs:
        if step.direction not in access.directions:
            yield Fault(where, f"the kernel cannot run {step.direction} for {name}")
        for begins, ends, buffer in (
            (access.read_begin, access.read_end, buffers.get(name)),
            (access.write_begin, access.write_end, buffers.get(step.output or "")),
        ):
            used = begins < ends
            if buffer and used.any() and (begins[used].min() < 0 or ends[used].max() > buffer.size):
                yield Fault(where, f"its access leaves {buffer.name} of {buffer.size} bytes")


def _by_step(steps: Sequence[StepAccess]) -> dict[int, list[StepAccess]]:
    result: dict[int, list[StepAccess]] = {}
    for step in steps:
        result.setdefault(step.step, []).append(step)
    return dict(sorted(result.items()))


def _pair_faults(plan: Plan, buffers: Sequence[Buffer], steps: Sequence[StepAccess]) -> Iterator[Fault]:
    """Buffers with a common step share no byte, except an input read for the last time with its output."""
    lives = {buffer.name: buffer for buffer in buffers}
    allowed = {
        frozenset((name, step.output))
        for step in steps
        for name, _ in step.inputs
        if lives[name].first < step.step == lives[name].last and name not in step.whole_reads
    }
    for k, one in enumerate(buffers):
        for other in buffers[:k]:
            if one.first > other.last or other.first > one.last:
                continue
            begin = max(plan.offsets[one.name], plan.offsets[other.name])
            end = min(plan.offsets[one.name] + one.size, plan.offsets[other.name] + other.size)
            if begin < end and frozenset((one.name, other.name)) not in allowed:
                yield Fault(f"{other.name}, {one.name}", f"share bytes {begin}..{end} while both live")


class _Simulation:
    """One byte array of the arena's size; a byte holds the number of the buffer that wrote it last."""

    def __init__(self, plan: Plan, buffers: Sequence[Buffer], steps: Sequence[StepAccess]) -> None:
        self.size = plan.size
        self.buffers = buffers
        self.steps = _by_step(steps)
        self.number = {buffer.name: k for k, buffer in enumerate(buffers)}
        self.place = {
            buffer.name: slice(plan.offsets[buffer.name], plan.offsets[buffer.name] + buffer.size)
            for buffer in buffers
        }
        self.owner = np.full(plan.size, _NOBODY, np.int64)

    def faults(self) -> Iterator[Fault]:
        times = {buffer.first for buffer in self.buffers} | {buffer.last for buffer in self.buffers}
        for time in sorted(times | set(self.steps)):
            yield from self._run(time, self.steps.get(time, []))

    def _run(self, time: int, parts: Sequence[StepAccess]) -> Iterator[Fault]:
        outputs = {part.output for part in parts}
        read = {name for part in parts for name, _ in part.inputs}
        for buffer in self.buffers:
            if buffer.first == time and buffer.name not in outputs:
                self.owner[self.place[buffer.name]] = self.number[buffer.name]
        first_write = {part.output: self._writes(part, part.output) for part in parts if part.output}
        at = np.minimum.reduce([*first_write.values(), np.full(self.size, _NEVER_WRITTEN)])
        for part in parts:
            yield from self._reads(time, part, at)
        for name, written in first_write.items():
            self.owner[written != _NEVER_WRITTEN] = self.number[name]
        for buffer in self.buffers:
            # Only an input that is read as an access says may go while it is read for the last time.
            consumed = buffer.first < time == buffer.last and buffer.name in read
            if buffer.first <= time <= buffer.last and not consumed:
                lost = self._lost(buffer.name)
                if lost.size:
                    yield self._fault(time, buffer.name, lost, "is not intact after the step")

    def _writes(self, part: StepAccess, output: str) -> Ints:
        """When each byte of the arena is first written by a step, in the order in which it runs."""
        result = np.full(self.size, _NEVER_WRITTEN)
        place = self.place[output]
        for _, access in part.inputs:
            clock = _clock(access.write_begin.size, part.direction)
            _paint(
                np.minimum, result, clock, place.start + access.write_begin, place.start + access.write_end
            )
        rest = result[place]  # a view: bytes that no access writes may be written at any time
        rest[rest == _NEVER_WRITTEN] = _ANY_TIME
        return result

    def _reads(self, time: int, part: StepAccess, first_write: Ints) -> Iterator[Fault]:
        for name in part.whole_reads:
            lost = self._lost(name, first_write != _NEVER_WRITTEN)
            if lost.size:
                yield self._fault(
                    time,
                    name,
                    lost,
                    f"is destroyed while {part.output or 'a state'} is computed from all of it",
                )
        for name, access in part.inputs:
            last_read = np.full(self.size, _NEVER_READ)
            clock = _clock(access.read_begin.size, part.direction)
            start = self.place[name].start
            _paint(np.maximum, last_read, clock, start + access.read_begin, start + access.read_end)
            spoiled = first_write < last_read if access.atomic else first_write <= last_read
            wrong = (last_read != _NEVER_READ) & (spoiled | (self.owner != self.number[name]))
            if wrong.any():
                yield self._fault(
                    time,
                    name,
                    np.flatnonzero(wrong),
                    f"is destroyed before {part.output or 'a state'} has read it",
                )

    def _lost(self, name: str, also: NDArray[np.bool_] | None = None) -> Ints:
        """Addresses within a buffer that are not, or by `also` will not be, its own."""
        place = self.place[name]
        wrong = self.owner[place] != self.number[name]
        return np.flatnonzero(wrong if also is None else wrong | also[place]) + place.start

    def _fault(self, time: int, name: str, lost: Ints, what: str) -> Fault:
        return Fault(f"step {time}", f"{name} {what}: {lost.size} bytes, the first at {lost[0]}")


def _clock(steps: int, direction: Direction) -> Ints:
    """When each t of an access runs."""
    clock = np.arange(steps, dtype=np.int64)
    return clock if direction is Direction.ASCENDING else clock[::-1]


def _paint(better: np.ufunc, times: Ints, clock: Ints, begin: Ints, end: Ints) -> None:
    """times[begin[t]:end[t]] becomes the better of itself and clock[t], for every t."""
    lengths = np.maximum(end - begin, 0)
    total = int(lengths.sum())
    if total > _EXPAND * len(clock):
        for t, time in enumerate(clock):
            span = times[begin[t] : max(begin[t], end[t])]
            better(span, time, out=span)
        return
    starts = np.cumsum(lengths) - lengths
    address = np.repeat(begin - starts, lengths) + np.arange(total)
    better.at(times, address, np.repeat(clock, lengths))
