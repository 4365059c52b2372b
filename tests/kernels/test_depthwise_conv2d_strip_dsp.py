"""depthwise_conv2d_strip_dsp equals the reference for any filter and border, with every form of its requantization."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from harness import BUILDS, check_kernel, check_on_board, leave_out
from random_conv import random_depthwise

from mcugen.boards import load_board
from mcugen.ir import Graph
from mcugen.kernels import KERNELS
from mcugen.kernels.strips import REGISTERS, layout, parts, schedule

KERNEL = KERNELS["depthwise_conv2d_strip_dsp"]
BOARD = load_board("cortex-m4")
CHANNELS = ((4, 1), (5, 1), (7, 1), (8, 1), (1, 4), (2, 3), (3, 1), (6, 2), (13, 1), (9, 3))
FILTERS = ((5, 5), (3, 3), (1, 9), (7, 1), (2, 4), (3, 2), (1, 1), (4, 4), (1, 40), (20, 1), (7, 7))


@pytest.fixture(autouse=True)
def no_other_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers are done by this kernel, whatever is cheaper."""
    others = [n for n, k in KERNELS.items() if "depthwise_conv2d" in k.ops and n != KERNEL.name]
    leave_out(monkeypatch, others)


def layers(seed: int, count: int) -> list[Graph]:
    """Random layers that the kernel takes, two of three with the scales of usual networks."""
    rng = np.random.default_rng(seed)
    found: list[Graph] = []
    while len(found) < count:
        i = len(found)
        channels, usual, relu, narrow = CHANNELS[i % 10], i % 3 > 0, i % 3 == 1, i % 8 == 7
        graph = random_depthwise(
            rng, FILTERS[i % 11], usual, channels=channels, relu=relu, room=9, narrow=narrow
        )
        if KERNEL.reject(graph.nodes[0], graph, BOARD) is None:
            found.append(graph)
    return found


def forms(graphs: Sequence[Graph]) -> set[str]:
    return {KERNEL.variant(graph.nodes[0], graph)[1]["form"] for graph in graphs}


def test_random_convolutions() -> None:
    graphs = layers(2, 44)
    layouts = [layout(graph.nodes[0], graph) for graph in graphs]
    assert forms(graphs) >= {"affine", "short", "clamped", "shifted", "wide"}
    assert {at.second for at in layouts} >= {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert {at.flat for at in layouts} == {at.outer > 1 for at in layouts} == {True, False}
    assert {len(parts(at)) for at in layouts} >= {1, 2, 3}
    check_kernel(graphs, 4, board="cortex-m4", builds=BUILDS[:1], kernel=KERNEL.name)


def test_sanitized() -> None:
    check_kernel(layers(3, 12), 4, board="cortex-m4", builds=BUILDS[1:], kernel=KERNEL.name)


@pytest.mark.slow
@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m7", "cortex-m33"])
def test_on_board(core: str) -> None:
    graphs = layers(4, 33)
    assert forms(graphs) >= {"affine", "short", "shifted", "wide"}
    check_on_board(graphs, core)


@pytest.mark.parametrize("step", [1, 2, 3, 8])
@pytest.mark.parametrize("taps", [(0,), (0, 1, 2, 3, 4), (0, 2, 4, 1, 3), tuple(range(15)), (0, 3, 6, 1, 4)])
def test_schedule_multiplies_every_tap(taps: tuple[int, ...], step: int) -> None:
    """Registers hold what the products say, each of them is done once, and no word is loaded more often than used."""
    held: dict[str, tuple[str, int]] = {}
    done, loads = [], 0
    for batch in schedule(tuple((at, t) for t, at in enumerate(taps)), step):
        for register, base, at in batch.loads:
            assert register in REGISTERS
            held[register] = (base, at)
            loads += 1
        for output, w, x in batch.products:
            assert held[w][0] == "r1" and held[x][0] == "r0"
            done.append((output, held[w][1] // 4, held[x][1] // 16))
    assert sorted(done) == sorted((k, t, at + k * step) for k in range(4) for t, at in enumerate(taps))
    assert loads <= 5 * len(taps)


def test_functions_of_one_name_are_one() -> None:
    rng = np.random.default_rng(6)
    found: dict[str, tuple[object, ...]] = {}
    for _ in range(1500):
        kernel = (int(rng.integers(1, 9)), int(rng.integers(1, 9)))
        graph = random_depthwise(rng, kernel, True, channels=(1, 1), narrow=rng.random() < 0.2)
        at = layout(graph.nodes[0], graph)
        function = (at.taps, at.step, at.outer, at.outer_step, at.weights, at.second[1])
        assert found.setdefault(at.shape, function) == function
    assert len(found) > 100


def test_what_it_refuses() -> None:
    rng = np.random.default_rng(5)
    wide = random_depthwise(rng, (3, 16), True, channels=(4, 1))
    assert KERNEL.reject(wide.nodes[0], wide, BOARD) is not None
    many = random_depthwise(rng, (301, 9), True, channels=(4, 1))
    assert "too many weights" in str(KERNEL.reject(many.nodes[0], many, BOARD))
    usual = random_depthwise(rng, (3, 3), True, channels=(4, 1))
    assert KERNEL.reject(usual.nodes[0], usual, BOARD) is None
    far = replace(usual.nodes[0], attrs={**usual.nodes[0].attrs, "strides": (1, 50)})
    assert KERNEL.reject(replace(far, attrs={**far.attrs, "dilations": (1, 7)}), usual, BOARD) is not None
    assert KERNEL.serves(BOARD) and not KERNEL.serves(load_board("cortex-m3"))
