"""Access.distance against a byte array: the distance keeps every byte, one less destroys one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcugen.access import Access, Direction

UP, DOWN = Direction.ASCENDING, Direction.DESCENDING


def survives(access: Access, direction: Direction, source: int, result: int) -> bool:
    """Runs the kernel in a set of spoiled addresses: does every read find its byte?"""
    count = len(access.read_begin)
    spoiled: set[int] = set()
    for t in range(count) if direction is UP else reversed(range(count)):
        reads = {source + k for k in range(access.read_begin[t], access.read_end[t])}
        writes = {result + k for k in range(access.write_begin[t], access.write_end[t])}
        if reads & spoiled or (not access.atomic and reads & writes):
            return False
        spoiled |= writes
    return True


def check_distance(access: Access, direction: Direction) -> None:
    need = access.distance(direction)
    assert need is not None
    base = int(max(access.read_end.max(), access.write_end.max())) + abs(need) + 1
    for more in range(4):
        rise = need + more
        assert survives(access, direction, base + rise if direction is UP else base - rise, base)
    if read_after_write(access, direction):
        rise = need - 1
        assert not survives(access, direction, base + rise if direction is UP else base - rise, base)
    else:
        assert all(survives(access, direction, base + rise, base) for rise in range(-base, base))


def read_after_write(access: Access, direction: Direction) -> bool:
    """Whether any byte is read once something was written; else buffers may lie anywhere."""
    reads = np.flatnonzero(access.read_begin < access.read_end)
    if not reads.size:
        return False
    last = len(access.read_begin) - 1
    late = int(reads[-1]) if direction is UP else last - int(reads[0])
    return late > 0 or not access.atomic


@st.composite
def convolutions(draw: st.DrawFn) -> Access:
    """One row per step, of a convolution or pooling along one axis."""
    size, kernel, stride = draw(st.integers(1, 9)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    before, after = draw(st.integers(0, kernel - 1)), draw(st.integers(0, kernel - 1))
    row, channels = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    rows = max(1, (size + before + after - kernel) // stride + 1)
    r = np.arange(rows)
    begin, end = (np.clip(r * stride - before + more, 0, size) for more in (0, kernel))
    atomic = draw(st.booleans())
    return Access(begin * row, end * row, r * channels, (r + 1) * channels, atomic, (UP, DOWN))


@st.composite
def elementwise(draw: st.DrawFn) -> Access:
    """Equal or different element sizes, as a requantization from int8 to int32 has."""
    count, wide, narrow = (
        draw(st.integers(1, 20)),
        draw(st.sampled_from((1, 2, 4))),
        draw(st.sampled_from((1, 4))),
    )
    t = np.arange(count)
    return Access(t * wide, (t + 1) * wide, t * narrow, (t + 1) * narrow, draw(st.booleans()), (UP, DOWN))


@st.composite
def sorted_ranges(draw: st.DrawFn) -> Access:
    """Any windows that move forward, some of them empty, over outputs of any widths."""
    count = draw(st.integers(1, 6))
    begin = np.array(sorted(draw(st.lists(st.integers(0, 12), min_size=count, max_size=count))))
    width = np.array(draw(st.lists(st.integers(0, 4), min_size=count, max_size=count)))
    written = np.cumsum([0, *draw(st.lists(st.integers(1, 4), min_size=count, max_size=count))])
    return Access(begin, begin + width, written[:-1], written[1:], draw(st.booleans()), (UP, DOWN))


@settings(max_examples=300)
@given(st.one_of(convolutions(), elementwise(), sorted_ranges()), st.sampled_from((UP, DOWN)))
def test_the_distance_is_safe_and_tight(access, direction):
    check_distance(access, direction)


def test_the_formula_for_rows():
    """max over r of ((r + 1) * Wo * Co - lo(r) * Wi * Ci): kws, 3x3 on 25x5x64, and 1x1."""
    r = np.arange(25)
    for kernel, expected in ((3, 640), (1, 320)):
        pad = kernel // 2
        begin, end = np.clip(r - pad, 0, 25) * 320, np.clip(r - pad + kernel, 0, 25) * 320
        access = Access(begin, end, r * 320, (r + 1) * 320, False, (UP, DOWN))
        assert access.distance(UP) == access.distance(DOWN) == expected


def test_element_wise_in_place():
    t = np.arange(100)
    access = Access(t, t + 1, t, t + 1, True)
    assert access.distance(UP) == 0
    assert access.distance(DOWN) is None


@pytest.mark.parametrize("direction", [UP, DOWN])
def test_a_smaller_output_may_lie_inside_its_input(direction):
    """Pooling 2 to 1: ascending, the output may start a byte behind its input; descending, end one before."""
    t = np.arange(8)
    access = Access(t * 2, t * 2 + 2, t, t + 1, True, (UP, DOWN))
    assert access.distance(direction) == (-1 if direction is UP else 7)
