"""conv2d_int16x8_dsp equals the reference: on this computer through its twin, and on emulated cores."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import as_int16
from harness import BUILDS, check_kernel, check_on_board, leave_out
from hypothesis import given, settings
from hypothesis import strategies as st
from random_conv import int16_layer, random_conv, random_dense
from test_conv2d_dsp import conv
from test_conv2d_int16x8 import widened

from mcugen.ir import DType, Graph
from mcugen.kernels import KERNELS

KERNEL = KERNELS["conv2d_int16x8_dsp"]
BOARD = "cortex-m4"
RELU = (0.0, np.inf)
PLAIN = (("gcc", ("-O2",)),)  # without sanitizers for many layers; they look at few
OTHERS = ["conv2d_int16x8", "fully_connected_int16x8_dsp"]


def names(graphs: list[Graph]) -> set[str]:
    return {KERNEL.variant(g.nodes[0], g)[0].removeprefix(KERNEL.name) for g in graphs}


def shapes(rng: np.random.Generator) -> list[Graph]:
    """First layers, long runs, one-dimensional kernels, dilations, groups, few channels, borders wider than x."""
    same = {"pads": (1, 1, 1, 1)}
    return [
        conv(rng, (9, 7, 1), 8, (5, 4), strides=(2, 2), pads=(2, 1, 2, 2)),
        conv(rng, (8, 8, 3), 9, (3, 3), strides=(2, 2), pads=(0, 0, 1, 1)),
        conv(rng, (11, 12, 3), 5, (7, 7), strides=(2, 2), pads=(3, 3, 3, 3)),
        conv(rng, (12, 1, 9), 7, (5, 1), dilations=(2, 1)),
        conv(rng, (1, 12, 10), 3, (1, 3), strides=(1, 2), pads=(0, 1, 0, 1)),
        conv(rng, (6, 9, 2), 6, (3, 4), dilations=(1, 2), pads=(1, 3, 0, 2)),
        conv(rng, (5, 5, 16), 2, (3, 3), **same),
        conv(rng, (5, 6, 21), 1),
        conv(rng, (4, 5, 12), 9, (3, 1), groups=3),
        conv(rng, (4, 5, 10), 10, (2, 3), groups=2, **same),
        conv(rng, (3, 3, 4), 4, (7, 7), pads=(4, 4, 4, 4)),
        conv(rng, (3, 3, 40), 12),
        conv(rng, (1, 1, 5), 17),
    ]


def short(rng: np.random.Generator, graphs: list[Graph], right: tuple[int, int]) -> list[Graph]:
    return [int16_layer(rng, g, right, RELU if rng.random() < 0.5 else (-np.inf, np.inf)) for g in graphs]


def graphs(seed: int) -> list[Graph]:
    """Both short forms, and sums of 32 bits, rounded once and twice, and of 64."""
    rng = np.random.default_rng(seed)
    found = short(rng, shapes(rng), (16, 32)) + short(rng, shapes(rng), (17, 46))
    found += [as_int16(random_conv(rng), bias) for bias in (DType.INT64, DType.INT32) for _ in range(8)]
    found += [as_int16(random_dense(rng, (1, 3), depth)) for depth in (1, 2, 3, 30, 1533)]
    found += [int16_layer(rng, random_dense(rng, (3,), 37), (18, 24), (-1.0, 6.0))]
    return [
        *found,
        *(widened(as_int16(random_conv(rng)), rng.integers(-(1 << 46), 1 << 46)) for _ in range(3)),
    ]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    leave_out(monkeypatch, OTHERS)


def test_all_kinds() -> None:
    drawn = graphs(1)
    walks, ways = ("", "_pointwise", "_grouped"), ("", "_plain", "_plain_twice", "_plain_wide")
    assert names(drawn) <= {walk + way for walk in walks for way in ways}
    assert {name.removeprefix("_grouped").removeprefix("_pointwise") for name in names(drawn)} == set(ways)
    assert {walk for walk in walks for name in names(drawn) if name in (walk, f"{walk}_shifted")} == set(
        walks
    )
    check_kernel(drawn, 5, board=BOARD, builds=PLAIN, kernel=KERNEL.name, apart=True)


def test_with_sanitizers() -> None:
    rng = np.random.default_rng(3)
    drawn = short(rng, shapes(rng)[::3], (16, 32)) + short(rng, shapes(rng)[1::4], (17, 46)) + graphs(3)[-6:]
    check_kernel(drawn, 4, board=BOARD, builds=BUILDS[1:], kernel=KERNEL.name)


@settings(max_examples=4, deadline=None, derandomize=True)
@given(st.integers(0, 2**32))
def test_random_layers(seed: int) -> None:
    """Several layers in one library whose tensors share bytes as the access allows."""
    rng = np.random.default_rng(seed)
    drawn = short(rng, [random_conv(rng) for _ in range(3)], (16, 30))
    drawn += short(rng, [random_dense(rng, (2, 3))], (16, 40))
    check_kernel(drawn, 4, seed % 1000, BOARD, PLAIN, KERNEL.name)


def test_over_the_input() -> None:
    """Outputs that lie over the input as far as the access allows."""
    rng = np.random.default_rng(10)
    same = {"pads": (1, 1, 1, 1)}
    drawn = [conv(rng, (7, 6, i), o, (3, 3), **same) for i, o in ((8, 8), (5, 12))]
    drawn += [conv(rng, (7, 6, i), o) for i, o in ((8, 8), (12, 5))]
    # Of two pixels the outputs of one group are written before the inputs of the next one are read.
    drawn += [conv(rng, (5, 7, i), o, groups=4, strides=(2, 1)) for i, o in ((8, 8), (12, 24), (24, 12))]
    drawn += [conv(rng, (7, 6, 8), 8, (3, 2), pads=(1, 0, 1, 1), strides=(1, 2), groups=2)]
    for graph in short(rng, drawn, (18, 24)):
        check_kernel(graph, 3, board=BOARD, builds=PLAIN, kernel=KERNEL.name)


@pytest.mark.slow
@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m7", "cortex-m33"])
def test_on_board(core: str) -> None:
    check_on_board(graphs(2)[::2] + graphs(4)[1::4], core)
