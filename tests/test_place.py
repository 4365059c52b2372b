"""The planner: known arenas of real networks, optimality on tiny instances, plans that pass the checker."""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcugen.access import Access, Direction
from mcugen.errors import InternalError
from mcugen.place import Buffer, Overlap, Plan, place
from mcugen.place_problem import Solution, ascending_where_possible, live_bound, problem_of
from mcugen.place_search import search
from mcugen.plan_check import StepAccess, check_plan

UP, DOWN = Direction.ASCENDING, Direction.DESCENDING
Shape = tuple[int, int, int]


def conv_rows(source: Shape, result: Shape, kernel: int, stride: int, pad: int) -> Access:
    """Any kernel that works row by row, in either direction."""
    (hi, wi, ci), (ho, wo, co) = source, result
    r = np.arange(ho)
    begin, end = (np.clip(r * stride - pad + more, 0, hi) for more in (0, kernel))
    return Access(begin * wi * ci, end * wi * ci, r * wo * co, (r + 1) * wo * co, False, (UP, DOWN))


def elements(count: int) -> Access:
    """An element-wise kernel that runs in ascending order."""
    t = np.arange(count)
    return Access(t, t + 1, t, t + 1, True)


@dataclass
class Net:
    """A network as the planner sees it, built layer by layer; names are the layers' numbers."""

    shapes: list[Shape] = field(default_factory=list)
    inputs: list[list[tuple[int, Access | None]]] = field(default_factory=list)

    def layer(self, shape: Shape, *inputs: tuple[int, Access | None]) -> int:
        self.shapes.append(shape)
        self.inputs.append(list(inputs))
        return len(self.shapes) - 1

    def conv(self, source: int, channels: int, kernel: int, stride: int = 1, pads: int = -1) -> int:
        """`pads` before and after together; the odd one after. -1: SAME."""
        h, w, _ = self.shapes[source]
        ho, wo = -(-h // stride), -(-w // stride)
        if pads == 0:
            ho, wo = (h - kernel) // stride + 1, w  # of a 1-D network
        before = 0 if pads == 0 else max(0, (ho - 1) * stride + kernel - h) // 2
        shape = (ho, wo, channels)
        return self.layer(shape, (source, conv_rows(self.shapes[source], shape, kernel, stride, before)))

    def separable(self, source: int, channels: int, stride: int = 1) -> int:
        return self.conv(self.conv(source, self.shapes[source][2], 3, stride), channels, 1)

    def add(self, one: int, other: int) -> int:
        shape = self.shapes[one]
        return self.layer(shape, *((i, elements(shape[0] * shape[1] * shape[2])) for i in (one, other)))

    def whole(self, source: int, *sizes: int) -> int:
        """Pooling, dense, softmax: layers that may read everything at any time."""
        for size in sizes:
            source = self.layer((1, 1, size), (source, None))
        return source

    def instance(self, overlap: bool = True) -> tuple[list[Buffer], list[Overlap], list[StepAccess]]:
        """Layer k runs in step k - 1; the graph input is layer 0."""
        count = len(self.shapes)
        last = {source: k - 1 for k, inputs in enumerate(self.inputs) for source, _ in inputs}
        buffers = [
            Buffer(str(k), shape[0] * shape[1] * shape[2], k - 1, last.get(k, count - 2))
            for k, shape in enumerate(self.shapes)
        ]
        overlaps, steps = [], []
        for k in range(1, count):
            known = [(i, access) for i, access in self.inputs[k] if access is not None and overlap]
            overlaps += [
                Overlap(k - 1, str(i), str(k), access.distance(UP), access.distance(DOWN))
                for i, access in known
            ]
            whole = tuple(str(i) for i, _ in self.inputs[k] if i not in {j for j, _ in known})
            steps.append(StepAccess(k - 1, str(k), tuple((str(i), a) for i, a in known), UP, whole))
        return buffers, overlaps, steps


def kws() -> Net:
    net = Net()
    x = net.layer((49, 10, 1))
    x = net.layer((25, 5, 64), (x, conv_rows((49, 10, 1), (25, 5, 64), 10, 2, 4)))
    for _ in range(4):
        x = net.separable(x, 64)
    net.whole(x, 64, 12, 12)
    return net


def ic() -> Net:
    net = Net()
    x = net.conv(net.layer((32, 32, 3)), 16, 3)
    x = net.add(x, net.conv(net.conv(x, 16, 3), 16, 3))
    for channels in (32, 64):
        short = net.conv(x, channels, 1, 2)
        x = net.add(short, net.conv(net.conv(x, channels, 3, 2), channels, 3))
    net.whole(x, 64, 10, 10)
    return net


def vww() -> Net:
    net = Net()
    x = net.conv(net.layer((96, 96, 3)), 8, 3, 2)
    for channels, stride in [
        (16, 1),
        (32, 2),
        (32, 1),
        (64, 2),
        (64, 1),
        (128, 2),
        *[(128, 1)] * 5,
        (256, 2),
        (256, 1),
    ]:
        x = net.separable(x, channels, stride)
    net.whole(x, 256, 2, 2)
    return net


def ad() -> Net:
    net = Net()
    net.whole(net.layer((1, 1, 640)), 128, 128, 128, 128, 8, 128, 128, 128, 128, 640)
    return net


def sww() -> Net:
    net = Net()
    x = net.layer((30, 1, 40))
    for kernel, channels in ((3, 128), (5, 128), (10, 128), (15, 32)):
        x = net.conv(net.conv(x, net.shapes[x][2], kernel, pads=0), channels, 1)
    net.whole(x, 3, 3)
    return net


def checked(buffers: Sequence[Buffer], overlaps: Sequence[Overlap], steps: Sequence[StepAccess]) -> Plan:
    plan = place(buffers, overlaps)
    check_plan(plan, buffers, [replace(step, direction=plan.directions[step.step]) for step in steps])
    return plan


@pytest.mark.parametrize(
    ("net", "apart", "shared"),
    [
        (kws, 16_000, 8_640),
        (ic, 49_152, 33_792),
        (vww, 55_296, 37_248),
        (ad, 768, 768),
        (sww, 6_656, 3_712),
    ],
)
def test_real_networks_reach_their_proven_least_arena(net, apart, shared):
    for overlap, expected in ((False, apart), (True, shared)):
        plan = checked(*net().instance(overlap))
        assert (plan.size, plan.lower_bound) == (expected, expected)


def rule_holds(offsets: Mapping[str, int], directions: Mapping[int, Direction], buffers, overlaps) -> bool:
    """The pairwise rule, spelled out for comparison: apart, or far enough in the step's direction."""
    needs = {(o.input, o.output): o for o in overlaps}
    for one, other in itertools.permutations(buffers, 2):
        if one.first > other.first or other.first > one.last:
            continue
        rise = offsets[other.name] - offsets[one.name]
        if rise >= one.size or -rise >= other.size:
            continue
        need = needs.get((one.name, other.name))
        if need is None or not one.first < need.step == one.last == other.first:
            return False
        least = need.ascending if directions[need.step] is UP else need.descending
        if least is None or (-rise if directions[need.step] is UP else rise) < least:
            return False
    return True


def brute_force(buffers: Sequence[Buffer], overlaps: Sequence[Overlap]) -> int:
    """The least arena by trying all offsets and directions."""
    steps = sorted({overlap.step for overlap in overlaps})
    able = {step: {UP, DOWN} for step in steps}
    for overlap in overlaps:
        able[overlap.step] -= {UP} if overlap.ascending is None else set()
        able[overlap.step] -= {DOWN} if overlap.descending is None else set()
    usable = [overlap for overlap in overlaps if able[overlap.step]]

    def fits(size: int, directions: Mapping[int, Direction], offsets: dict[str, int]) -> bool:
        placed = buffers[: len(offsets)]
        if not rule_holds(offsets, directions, placed, usable):
            return False
        if len(placed) == len(buffers):
            return True
        new = buffers[len(placed)]
        return any(
            fits(size, directions, {**offsets, new.name: offset})
            for offset in range(0, size - new.size + 1, new.align)
        )

    ways = [
        dict(zip(steps, way, strict=True)) for way in itertools.product(*(able[s] or {UP} for s in steps))
    ]
    return next(size for size in itertools.count() if any(fits(size, way, {}) for way in ways))


@st.composite
def tiny(draw: st.DrawFn) -> tuple[list[Buffer], list[Overlap]]:
    buffers = []
    for k in range(draw(st.integers(0, 5))):
        first = draw(st.integers(-1, 2))
        buffers.append(
            Buffer(
                f"b{k}",
                draw(st.integers(0, 4)),
                first,
                draw(st.integers(first, 3)),
                draw(st.sampled_from((1, 1, 1, 2, 4))),
            )
        )
    overlaps = [
        Overlap(
            output.first,
            source.name,
            output.name,
            draw(st.none() | st.integers(-3, 6)),
            draw(st.none() | st.integers(-3, 6)),
        )
        for source, output in itertools.permutations(buffers, 2)
        if source.first < output.first == source.last and source.size and output.size and draw(st.booleans())
    ]
    return buffers, overlaps


@settings(max_examples=600)
@given(tiny())
def test_tiny_instances_are_placed_as_well_as_by_trying_everything(instance):
    buffers, overlaps = instance
    plan = place(buffers, overlaps)
    assert plan.lower_bound == plan.size == brute_force(buffers, overlaps)
    known = [overlap for overlap in overlaps if overlap.step in plan.directions]
    assert rule_holds(plan.offsets, plan.directions, buffers, known)
    assert place(buffers[::-1], overlaps[::-1]) == plan


def random_net(seed: int) -> tuple[list[Buffer], list[Overlap], list[StepAccess]]:
    """Layers with random lives, scratch, and accesses that nobody would design, but within the contract."""
    dice = random.Random(seed)
    count = dice.randint(2, 12)
    sizes = [dice.choice((0, 1, dice.randint(1, 40), dice.randint(1, 12))) for _ in range(count)]
    readers = [
        [dice.randrange(max(0, k - 4), k) for _ in range(dice.choice((1, 1, 2, 3)))] for k in range(1, count)
    ]
    last = {source: step for step, sources in enumerate(readers) for source in sources}
    aligns = dice.choice(((1,), (1, 4), (4,), (1, 2, 8)))
    buffers = [
        Buffer(str(k), sizes[k], k - 1, last.get(k, count - 2), dice.choice(aligns)) for k in range(count)
    ]
    overlaps, steps = [], []
    for step, sources in enumerate(readers):
        size, ticks, whole = sizes[step + 1], dice.randint(1, 8), set()
        cuts = np.array([0, *sorted(dice.randint(0, size) for _ in range(ticks - 1)), size])
        known = []
        for source in sources:
            if dice.random() < 0.2:
                whole.add(str(source))
                continue
            begin = np.array([dice.randint(0, sizes[source]) for _ in range(ticks)])
            end = np.array([dice.randint(low, sizes[source]) for low in begin])
            if dice.random() < 0.7:
                begin, end = np.sort(begin), np.sort(end)
            directions = dice.choice(((UP,), (UP, DOWN)))
            access = Access(begin, end, cuts[:-1], cuts[1:], dice.random() < 0.5, directions)
            known.append((str(source), access))
        overlaps += [
            Overlap(step, name, str(step + 1), access.distance(UP), access.distance(DOWN))
            for name, access in known
            if name not in whole
        ]
        known = [(name, access) for name, access in known if name not in whole]
        steps.append(StepAccess(step, str(step + 1), tuple(known), UP, tuple(sorted(whole))))
        if dice.random() < 0.3:
            buffers.append(Buffer(f"scratch{step}", dice.randint(1, 9), step, step, dice.choice(aligns)))
    return buffers, overlaps, steps


@settings(max_examples=150)
@given(st.integers(0, 2**32))
def test_random_nets_get_plans_that_the_checker_accepts(seed):
    buffers, overlaps, steps = random_net(seed)
    plan = checked(buffers, overlaps, steps)
    assert plan.lower_bound <= plan.size <= place(buffers).size
    dice = random.Random(seed)
    dice.shuffle(buffers)
    dice.shuffle(overlaps)
    assert place(buffers, overlaps) == plan


def test_a_step_runs_in_one_direction_for_all_its_inputs():
    """A residual ADD between buffers that hold their places: in place with one, apart from the other."""
    buffers = [Buffer("a", 16, -1, 0), Buffer("b", 16, -1, 0), Buffer("sum", 16, 0, 1)]
    accesses = [(name, replace(elements(16), directions=(UP, DOWN))) for name in "ab"]
    overlaps = [
        Overlap(0, name, "sum", access.distance(UP), access.distance(DOWN)) for name, access in accesses
    ]
    plan = checked(buffers, overlaps, [StepAccess(0, "sum", tuple(accesses), UP)])
    assert plan.size == plan.lower_bound == 32
    # Each pair would be safe in a direction of its own.
    wrong = Plan({"a": 16, "b": 0, "sum": 8}, {0: UP}, 32, 32)
    for direction in (UP, DOWN):
        with pytest.raises(InternalError, match="is destroyed before sum has read it"):
            check_plan(
                replace(wrong, directions={0: direction}),
                buffers,
                [StepAccess(0, "sum", tuple(accesses), direction)],
            )


def test_the_kernels_directions_count_for_all_inputs_together():
    """x must run descending to overlap, but the other input, which lives on, allows ascending only."""
    buffers = [Buffer("x", 8, -1, 0), Buffer("y", 8, -1, 1), Buffer("z", 8, 0, 1)]
    overlaps = [Overlap(0, "x", "z", 8, 0), Overlap(0, "y", "z", 0, None)]
    assert place(buffers, overlaps[:1]).size == 16
    assert place(buffers, overlaps).size == 24


def test_overlaps_of_the_same_buffers_must_all_hold():
    buffers = [Buffer("x", 8, -1, 0), Buffer("z", 8, 0, 0)]
    once, twice, never = (Overlap(0, "x", "z", need, None) for need in (0, 3, None))
    assert place(buffers, [once]).size == 8
    assert place(buffers, [once, twice]).size == 11
    assert place(buffers, [once, never]).size == 16


def test_overlaps_that_cannot_hold_are_ignored():
    buffers = [Buffer("x", 8, -1, 1), Buffer("z", 8, 0, 1), Buffer("s", 8, 1, 1)]
    for overlap in (Overlap(0, "x", "z", 0, 0), Overlap(1, "x", "x", 0, 0), Overlap(1, "s", "s", 0, 0)):
        assert place(buffers, [overlap]).size == 24


@pytest.mark.parametrize(
    ("buffers", "size"),
    [
        ([], 0),
        ([Buffer("a", 0, -1, 3)], 0),
        ([Buffer("a", 5, 0, 0, 8)], 5),
        ([Buffer("a", 5, 0, 0, 8), Buffer("b", 1, 0, 0, 8)], 9),
        ([Buffer("a", 1, 0, 0), Buffer("b", 0, 0, 0, 16), Buffer("c", 1, 0, 0)], 2),
        ([Buffer("a", 7, 0, 1), Buffer("b", 7, 2, 3)], 7),
    ],
)
def test_small_cases(buffers, size):
    plan = place(buffers)
    assert (plan.size, plan.lower_bound) == (size, size)
    assert set(plan.offsets) == {buffer.name for buffer in buffers}


def test_a_distance_beyond_the_output_means_apart():
    buffers = [Buffer("x", 8, -1, 0), Buffer("z", 4, 0, 0)]
    plan = place(buffers, [Overlap(0, "x", "z", 100, None)])
    assert plan.size == plan.lower_bound == 12
    problem = problem_of(buffers, [Overlap(0, "x", "z", 100, 100)])
    assert [(pair.above, pair.below) for pair in problem.pairs] == [((8, 8), (4, 4))]


def test_steps_descend_only_where_they_must():
    buffers = [Buffer("x", 8, -1, 0), Buffer("z", 8, 0, 0)]
    for descending_needed, x, z in ((False, 0, 0), (True, 0, 2), (False, 0, 8)):
        problem = problem_of(buffers, [Overlap(0, "x", "z", 0, 0)])
        settled = ascending_where_possible(problem, Solution(16, (x, z), {0: 1}))
        assert settled.directions == {0: int(descending_needed)}


def test_steps_without_overlap_run_ascending():
    buffers, overlaps, _ = ad().instance()
    assert set(place(buffers, overlaps).directions.items()) == {(step, UP) for step in range(10)}


def hard(count: int, steps: int, seed: int) -> list[Buffer]:
    dice = random.Random(seed)
    births = [dice.randrange(steps) for _ in range(count)]
    return [
        Buffer(str(k), dice.randint(1, 5000), first, min(steps - 1, first + dice.randint(1, 6)))
        for k, first in enumerate(births)
    ]


def beyond_search() -> list[Buffer]:
    """Buffers for which the solver finds a smaller plan than the local search."""
    lives = [(6, 3, 5), (6, 5, 7), (8, 5, 6), (9, 0, 2), (6, 2, 3), (1, 6, 7), (3, 2, 4), (9, 1, 3)]
    lives += [(4, 0, 4), (5, 4, 7), (5, 6, 7), (5, 1, 3), (8, 0, 1), (3, 4, 7), (8, 5, 7)]
    return [Buffer(str(k), *life) for k, life in enumerate(lives)]


def test_the_solver_improves_what_the_local_search_found():
    buffers = beyond_search()
    problem = problem_of(buffers, [])
    assert search(problem, live_bound(problem)).peak == 38
    assert (place(buffers).size, place(buffers).lower_bound) == (36, 36)
    unfinished = place(buffers, node_limit=1)
    assert unfinished.lower_bound <= 36 <= unfinished.size


def test_the_solver_prints_nothing():
    """stdout belongs to `--json`; a process of its own, because what C prints escapes pytest until it ends."""
    code = "import test_place; assert test_place.place(test_place.beyond_search()).size == 36"
    path = os.pathsep.join((str(Path(__file__).parent), *sys.path))
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_solver_proves_more_than_the_bytes_that_live_at_once():
    buffers = [
        Buffer("0", 4, -1, 2),
        Buffer("1", 12, 0, 1, 4),
        Buffer("2", 9, 1, 2, 4),
        Buffer("3", 12, 2, 2),
        Buffer("scratch1", 6, 1, 1, 4),
        Buffer("scratch2", 3, 2, 2),
    ]
    overlaps = [Overlap(1, "0", "2", 6, -3), Overlap(1, "1", "2", 3, None), Overlap(2, "0", "3", 11, 1)]
    problem = problem_of(buffers, overlaps)
    assert live_bound(problem) == 26
    plan = place(buffers, overlaps)
    assert plan.size == plan.lower_bound == brute_force(buffers, overlaps) == 27


def test_hundreds_of_buffers_end_with_an_honest_gap():
    plan = place(hard(300, 80, 1), node_limit=1)
    assert 0 < plan.lower_bound <= plan.size <= 1.2 * plan.lower_bound
    assert plan == place(hard(300, 80, 1), node_limit=1)


@pytest.mark.parametrize(
    ("buffers", "overlaps", "message"),
    [
        ([Buffer("a", 1, 0, 0), Buffer("a", 1, 1, 1)], [], "two buffers have this name"),
        ([Buffer("a", 1, 2, 1)], [], "impossible buffer"),
        ([Buffer("a", 1, 0, 1)], [Overlap(1, "a", "b", 0, 0)], "unknown buffer b"),
    ],
)
def test_contradictions_are_internal_errors(buffers, overlaps, message):
    with pytest.raises(InternalError, match=message):
        place(buffers, overlaps)
