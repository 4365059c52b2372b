"""fully_connected_rows_dsp equals the reference: on this computer through its twin, and on emulated cores."""

from __future__ import annotations

import numpy as np
import pytest
from harness import BUILDS, check_kernel, check_on_board, leave_out
from random_conv import random_dense
from test_conv2d_dsp import BOARD, CORES, conv
from test_fully_connected_dsp import whole

from mcugen.boards import load_board
from mcugen.kernels import KERNELS

NAME = "fully_connected_rows_dsp"


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only this kernel and the portable one."""
    leave_out(monkeypatch, [name for name in KERNELS if "dsp" in name and name != NAME])


def test_every_rest(alone: None) -> None:
    rng = np.random.default_rng(1)
    graphs = [whole(rng, depth, int(rng.integers(1, 9))) for depth in (*range(1, 20), 96, 131)]
    graphs += [whole(rng, int(rng.integers(8, 80)), channels) for channels in range(1, 12)]
    graphs += [conv(rng, (3, 5, 7), 3, (3, 5)), whole(rng, 40, 2, clamp=(0.0, 6.0))]
    check_kernel(graphs, 4, board=BOARD, builds=BUILDS[2:], kernel=NAME, apart=True)


def test_any_weight_and_scale(alone: None) -> None:
    rng = np.random.default_rng(2)
    graphs = [whole(rng, 20, 4, weights=(-128, -128)), whole(rng, 21, 5, shifts=(-8, 31))]
    graphs += [random_dense(rng, (1,)) for _ in range(8)]
    check_kernel(graphs, 4, board=BOARD, builds=BUILDS[:1], kernel=NAME, apart=True)


@pytest.mark.parametrize(("channels", "wanted"), [(1, NAME), (4, NAME), (8, "fully_connected_dsp")])
def test_few_outputs_are_its_own(channels: int, wanted: str) -> None:
    graph, board = whole(np.random.default_rng(3), 100, channels), load_board(BOARD)
    cycles = {n: KERNELS[n].cycles(graph.nodes[0], graph, board) for n in (NAME, "fully_connected_dsp")}
    assert min(cycles, key=lambda name: cycles[name]) == wanted


def test_rows_are_not_filled_up() -> None:
    graph = whole(np.random.default_rng(4), 64, 3)
    assert KERNELS[NAME].constants(graph.nodes[0], graph) == 64 * 3 + 3 * (4 + 4 + 1)


@pytest.mark.slow
@pytest.mark.parametrize("core", CORES)
def test_on_board(core: str, alone: None) -> None:
    rng = np.random.default_rng(5)
    depths = (3, 4, 7, 8, 12, 16, 21, 64)
    check_on_board([whole(rng, depth, rows) for rows in (1, 2, 3, 4, 6) for depth in depths], core)
