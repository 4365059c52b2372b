"""depthwise_conv2d_int16x8_dsp equals the reference: on this computer through its twin, and on emulated cores."""

from __future__ import annotations

import numpy as np
import pytest
from harness import BUILDS, check_kernel, check_on_board, leave_out
from hypothesis import given, settings
from hypothesis import strategies as st
from random_conv import int16_layer, random_depthwise

from mcugen.boards import load_board
from mcugen.ir import Graph
from mcugen.kernels import KERNELS

KERNEL = KERNELS["depthwise_conv2d_int16x8_dsp"]
BOARD = "cortex-m4"
CORES = ("cortex-m4", "cortex-m7", "cortex-m33")
PLAIN = (("gcc", ("-O2",)),)  # without sanitizers for many layers; they look at few
ANY, RELU = (-np.inf, np.inf), (0.0, np.inf)
SIZES = [
    (3, 3),
    (3, 3),
    (3, 3),
    (5, 5),
    (2, 4),
    (3, 1),
    (10, 1),
    (19, 1),
    (1, 3),
    (1, 11),
    (1, 1),
    (4, 3),
    (7, 8),
]


def layer(
    rng: np.random.Generator,
    kernel: tuple[int, int],
    channels: int | None = None,
    clamp: tuple[float, float] = ANY,
) -> Graph:
    """A layer that the kernel takes: no window is padding alone."""
    channels = int(rng.integers(4, 24)) if channels is None else channels
    right = [(16, 32), (17, 46), (19, 25)][int(rng.integers(3))]
    while True:
        graph = random_depthwise(rng, kernel, pads=min(max(kernel), 4), channels=(channels, 1))
        graph = int16_layer(rng, graph, right, clamp)
        if KERNEL.reject(graph.nodes[0], graph, load_board(BOARD)) is None:
            return graph


def graphs(seed: int) -> list[Graph]:
    rng = np.random.default_rng(seed)
    drawn = [(size, None) for size in SIZES] + [((3, 3), c) for c in (4, 5, 8)]
    return [layer(rng, size, channels, (ANY, RELU)[i % 2]) for i, (size, channels) in enumerate(drawn)]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    leave_out(monkeypatch, ["depthwise_conv2d_int16x8"])


def test_all_sizes() -> None:
    drawn = graphs(1)
    found = {KERNEL.variant(g.nodes[0], g)[0].removeprefix(KERNEL.name) for g in drawn}
    assert found == {"", "_relu", "_3x3", "_3x3_relu"}
    check_kernel(drawn, 5, board=BOARD, builds=BUILDS[::2], kernel=KERNEL.name, apart=True)


@settings(max_examples=4, deadline=None, derandomize=True)
@given(st.integers(0, 2**32))
def test_random_layers(seed: int) -> None:
    """Several layers in one library whose tensors share bytes as the access allows."""
    rng = np.random.default_rng(seed)
    sizes = [(int(kh), int(kw)) for kh, kw in rng.integers(1, 6, (4, 2))]
    check_kernel([layer(rng, k) for k in [*sizes, (3, 3)]], 4, seed % 1000, BOARD, PLAIN, KERNEL.name)


def test_other_layers_are_refused() -> None:
    rng, board = np.random.default_rng(2), load_board(BOARD)
    few = random_depthwise(rng, (3, 3), pads=1, channels=(3, 1))
    several = random_depthwise(rng, (3, 3), pads=1, channels=(4, 2))
    wide = random_depthwise(rng, (2, 9), pads=1, channels=(4, 1))
    usual = [int16_layer(rng, g, (20, 24)) for g in (few, several, wide)]
    left = int16_layer(rng, random_depthwise(rng, (3, 3), pads=1, channels=(4, 1)), (1, 10))
    assert all(KERNEL.reject(g.nodes[0], g, board) is not None for g in (*usual, left))


@pytest.mark.slow
@pytest.mark.parametrize("core", CORES)
def test_on_board(core: str) -> None:
    check_on_board(graphs(3), core)
