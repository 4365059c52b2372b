"""fully_connected_rows_int16x8_dsp equals the reference: on this computer through its twin, and on emulated cores."""

from __future__ import annotations

import numpy as np
import pytest
from harness import BUILDS, check_kernel, check_on_board, leave_out
from random_conv import int16_layer, random_dense
from test_conv2d_dsp import BOARD, CORES, conv
from test_conv2d_int16x8_dsp import RELU

from mcugen.boards import load_board
from mcugen.ir import Graph
from mcugen.kernels import KERNELS

KERNEL = KERNELS["fully_connected_rows_int16x8_dsp"]
OTHERS = [name for name in KERNELS if "int16x8" in name and name != KERNEL.name]
ANY = (-np.inf, np.inf)


def graphs(seed: int) -> list[Graph]:
    """Every rest of inputs, one to six outputs, with and without shifts; a window over a whole input."""
    rng = np.random.default_rng(seed)
    found = [conv(rng, (1, 1, depth), 1 + i % 6) for i, depth in enumerate((*range(1, 18), 33, 101))]
    found += [conv(rng, (3, 4, 5), channels, (3, 4)) for channels in (1, 2, 3, 4, 5)]
    rights = [(16, 32), (17, 46), (20, 25)]
    return [int16_layer(rng, g, rights[i % 3], (ANY, RELU)[i % 2]) for i, g in enumerate(found)]


def test_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    leave_out(monkeypatch, OTHERS)
    check_kernel(graphs(1), 6, board=BOARD, builds=BUILDS[::2], kernel=KERNEL.name)


def test_other_layers_are_refused() -> None:
    rng, board = np.random.default_rng(2), load_board(BOARD)
    several = int16_layer(rng, random_dense(rng, (2,)), (20, 24))
    left = int16_layer(rng, random_dense(rng, (1,)), (1, 10))
    assert all(KERNEL.reject(g.nodes[0], g, board) is not None for g in (several, left))


@pytest.mark.parametrize(("channels", "rows"), [(1, True), (3, True), (8, False)])
def test_few_outputs_are_its_own(channels: int, rows: bool) -> None:
    rng, board = np.random.default_rng(3), load_board(BOARD)
    graph = int16_layer(rng, conv(rng, (1, 1, 100), channels), (20, 25))
    cycles = [
        k.cycles(graph.nodes[0], graph, board) for k in (KERNEL, KERNELS["fully_connected_int16x8_dsp"])
    ]
    assert (cycles[0] < cycles[1]) == rows


@pytest.mark.slow
@pytest.mark.parametrize("core", CORES)
def test_on_board(core: str, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_out(monkeypatch, OTHERS)
    check_on_board(graphs(4), core)
