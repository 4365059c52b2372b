"""fully_connected_int16x8_dsp equals the reference: on this computer through its twin, and on emulated cores."""

from __future__ import annotations

import numpy as np
import pytest
from harness import BUILDS, check_kernel, check_on_board, leave_out
from random_conv import int16_layer, random_dense
from test_conv2d_dsp import conv
from test_conv2d_int16x8_dsp import RELU

from mcugen.boards import load_board
from mcugen.ir import Graph
from mcugen.kernels import KERNELS

KERNEL = KERNELS["fully_connected_int16x8_dsp"]
BOARD = "cortex-m4"
CORES = ("cortex-m4", "cortex-m7", "cortex-m33")
ANY = (-np.inf, np.inf)


def graphs(seed: int) -> list[Graph]:
    """Inputs and outputs that are no multiple of anything, with and without shifts; a window over a whole input."""
    rng = np.random.default_rng(seed)
    found = [random_dense(rng, (1,), depth) for depth in (2, 3, 4, 15, 16, 17, 31, 32, 33, 101)]
    found += [conv(rng, (3, 4, 5), channels, (3, 4)) for channels in (1, 7, 8, 9, 16)]
    rights = [(16, 32), (17, 46), (20, 25)]
    return [int16_layer(rng, g, rights[i % 3], (ANY, RELU)[i % 2]) for i, g in enumerate(found)]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    leave_out(monkeypatch, ["conv2d_int16x8", "conv2d_int16x8_dsp", "fully_connected_rows_int16x8_dsp"])


def test_equal() -> None:
    check_kernel(graphs(1), 6, board=BOARD, builds=BUILDS[::2], kernel=KERNEL.name)


def test_other_layers_are_refused() -> None:
    rng, board = np.random.default_rng(2), load_board(BOARD)
    several = int16_layer(rng, random_dense(rng, (2,)), (20, 24))
    one_input = int16_layer(rng, random_dense(rng, (1,), 1), (20, 24))
    left = int16_layer(rng, random_dense(rng, (1,)), (1, 10))
    assert all(KERNEL.reject(g.nodes[0], g, board) is not None for g in (several, one_input, left))


@pytest.mark.slow
@pytest.mark.parametrize("core", CORES)
def test_on_board(core: str) -> None:
    check_on_board(graphs(3), core)
