"""The checker of memory plans: it finds every plan that is wrong, and nothing in plans that are right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcugen.access import Access, Direction
from mcugen.errors import InternalError
from mcugen.place import Buffer, Plan, place
from mcugen.plan_check import StepAccess, check_plan

UP, DOWN = Direction.ASCENDING, Direction.DESCENDING


def ranges(width: int, count: int, reach: int = 0, atomic: bool = False) -> Access:
    """`count` steps of `width` bytes each; reads also `reach` bytes before and after."""
    t, size = np.arange(count), width * count
    begin, end = np.clip(t * width - reach, 0, size), np.clip((t + 1) * width + reach, 0, size)
    return Access(begin, end, t * width, (t + 1) * width, atomic, (UP, DOWN))


def chain(accesses: list[Access | None]) -> tuple[list[Buffer], list[StepAccess]]:
    """Tensors of the accesses' size, one step after the other; None reads everything at any time."""
    size = max(int(access.write_end[-1]) for access in accesses if access is not None)
    buffers = [Buffer(f"t{k}", size, k - 1, min(k, len(accesses) - 1)) for k in range(len(accesses) + 1)]
    steps = [
        StepAccess(k, f"t{k + 1}", ((f"t{k}", access),), UP)
        if access is not None
        else StepAccess(k, f"t{k + 1}", (), UP, (f"t{k}",))
        for k, access in enumerate(accesses)
    ]
    return buffers, steps


def plan_of(buffers: list[Buffer], steps: list[StepAccess], **offsets: int) -> Plan:
    size = max(offsets[buffer.name] + buffer.size for buffer in buffers)
    return Plan(offsets, {step.step: step.direction for step in steps}, size, 0)


def accepts(plan: Plan, buffers: list[Buffer], steps: list[StepAccess]) -> bool:
    try:
        check_plan(plan, buffers, steps)
    except InternalError:
        return False
    return True


@settings(max_examples=200)
@given(
    st.integers(1, 4),
    st.integers(1, 6),
    st.integers(0, 5),
    st.booleans(),
    st.sampled_from((UP, DOWN)),
    st.integers(0, 30),
    st.integers(0, 30),
)
def test_it_accepts_exactly_the_distances_of_the_access(
    width, count, reach, atomic, direction, source, result
):
    access = ranges(width, count, reach, atomic)
    buffers, steps = chain([access])
    steps = [replace(steps[0], direction=direction)]
    size, need = width * count, access.distance(direction)
    assert need is not None
    rise = source - result if direction is UP else result - source
    assert accepts(plan_of(buffers, steps, t0=source, t1=result), buffers, steps) == (
        rise >= need or -rise >= size
    )


def test_every_byte_counts():
    """A right plan of three overlapping steps, each offset moved by one byte either way."""
    buffers, steps = chain([ranges(8, 6, 8), ranges(8, 6, 8), ranges(8, 6, 8)])
    steps = [
        replace(step, direction=direction) for step, direction in zip(steps, (UP, DOWN, UP), strict=True)
    ]
    right = plan_of(buffers, steps, t0=16, t1=0, t2=16, t3=0)
    check_plan(right, buffers, steps)
    for name, offset in right.offsets.items():
        for wrong in (offset - 1, offset + 1):
            assert not accepts(replace(right, offsets={**right.offsets, name: wrong}), buffers, steps), name


def test_an_input_read_at_any_time_does_not_overlap():
    buffers, steps = chain([None, ranges(1, 4)])
    assert accepts(plan_of(buffers, steps, t0=4, t1=0, t2=4), buffers, steps)
    with pytest.raises(InternalError, match=r"t0, t1: share bytes 3\.\.4 while both live"):
        check_plan(plan_of(buffers, steps, t0=3, t1=0, t2=4), buffers, steps)


def test_an_input_that_lives_on_does_not_overlap():
    access = ranges(1, 4, atomic=True)
    buffers, steps = chain([access, access])
    in_place = plan_of(buffers, steps, t0=0, t1=0, t2=0)
    check_plan(in_place, buffers, steps)
    buffers[0] = replace(buffers[0], last=1)
    with pytest.raises(InternalError, match="t0 is not intact after the step"):
        check_plan(in_place, buffers, steps)


def test_scratch_and_bystanders_keep_their_bytes():
    access = ranges(1, 4, atomic=True)
    for name, first, last in (("scratch", 0, 0), ("bystander", -1, 1), ("state", -1, 5)):
        buffers, steps = chain([access])
        buffers.append(Buffer(name, 2, first, last))
        assert accepts(plan_of(buffers, steps, t0=0, t1=0, **{name: 4}), buffers, steps)
        for offset in (3, 0):
            assert not accepts(plan_of(buffers, steps, t0=0, t1=0, **{name: offset}), buffers, steps)


def test_outputs_of_one_step_are_written_at_the_same_time():
    """A split of interleaved halves: the second output would fall upon bytes that the first still needs."""
    t = np.arange(4)
    halves = [Access(t * 2 + k, t * 2 + k + 1, t, t + 1, True) for k in (0, 1)]
    buffers = [Buffer("x", 8, -1, 0), Buffer("even", 4, 0, 1), Buffer("odd", 4, 0, 1)]
    steps = [
        StepAccess(0, name, (("x", half),), UP) for name, half in zip(("even", "odd"), halves, strict=True)
    ]
    check_plan(plan_of(buffers, steps, x=0, even=0, odd=8), buffers, steps)
    with pytest.raises(InternalError, match="x is destroyed before even has read it"):
        check_plan(plan_of(buffers, steps, x=0, even=0, odd=4), buffers, steps)


def test_bytes_that_no_access_writes_count_as_written_at_any_time():
    """A concatenation: one part is copied in order, the other part's place may be written first."""
    t = np.arange(4)
    part = Access(t, t + 1, t, t + 1, True)
    buffers = [Buffer("x", 4, -1, 0), Buffer("y", 4, -1, 0), Buffer("xy", 8, 0, 0)]
    steps = [StepAccess(0, "xy", (("x", part),), UP, ("y",))]
    check_plan(plan_of(buffers, steps, x=0, xy=0, y=8), buffers, steps)
    assert not accepts(plan_of(buffers, steps, x=4, xy=0, y=8), buffers, steps)


def test_all_faults_are_listed_at_once():
    access = replace(ranges(1, 4), directions=(UP,))
    buffers, steps = chain([access])
    buffers[1] = replace(buffers[1], align=4)
    steps = [replace(steps[0], direction=DOWN), StepAccess(0, "t0", (("t9", ranges(1, 5)),), UP)]
    plan = Plan({"t0": 0, "t1": 6}, {0: UP}, 8, 9)
    with pytest.raises(InternalError) as caught:
        check_plan(plan, buffers, steps)
    text = str(caught.value)
    for part in (
        "lower bound 9 exceeds the size 8",
        "t1: offset 6 is no multiple of 4",
        "t1: bytes 6..10 leave the arena of 8",
        "step 0: runs descending, but was planned otherwise",
        "the kernel cannot run descending for t0",
        "uses t9, which is no buffer",
        "writes t0, which was not born here",
        "its access leaves t0 of 4 bytes",
        "its accesses count time differently",
    ):
        assert part in text
    with pytest.raises(InternalError, match="t1: has no offset"):
        check_plan(replace(plan, offsets={"t0": 0}), buffers, [])


def test_long_ranges_and_short_ones_are_simulated_alike():
    """Both ways of the simulation: whole rows of hundreds of bytes, and single bytes."""
    for width, count in ((300, 20), (1, 6000)):
        access = ranges(width, count, reach=width)
        buffers, steps = chain([access])
        for rise, right in ((2 * width, True), (2 * width - 1, False)):
            assert accepts(plan_of(buffers, steps, t0=rise, t1=0), buffers, steps) is right
            back = [replace(steps[0], direction=DOWN)]
            assert accepts(plan_of(buffers, back, t0=0, t1=rise), buffers, back) is right


def test_nothing_to_check():
    check_plan(place([]), [], [])
    check_plan(place([Buffer("empty", 0, -1, 0)]), [Buffer("empty", 0, -1, 0)], [])
