"""mean_dsp equals the references of mean and sum over axes and scales, on hosts and emulated cores."""

from __future__ import annotations

import numpy as np
import pytest

from mcugen.boards import load_board
from mcugen.ir import Graph
from mcugen.kernels import KERNELS
from tests.kernels.harness import BUILDS, check_kernel, check_on_board
from tests.kernels.test_add_dsp import CORES
from tests.kernels.test_mean_portable import mean

CASES = [
    ((1, 25, 5, 12), (1, 2)),
    ((1, 3, 4, 8), (2,)),
    ((3, 4), (0,)),
    ((1, 16, 16, 64), (1, 2)),
    ((1, 6, 2, 2), (1,)),
]


def graphs(seed: int) -> list[Graph]:
    """Means and sums of random zero points and several scales, those that the kernel takes."""
    rng, found = np.random.default_rng(seed), []
    board = load_board("cortex-m4")
    for op in ("mean", "sum"):
        for shape, axes in CASES:
            for scales in ((0.1, 0.1), (0.1, 0.013), (0.003, 0.5)):
                zeros = (int(rng.integers(-128, 128)), int(rng.integers(-128, 128)))
                graph = mean(shape, axes, scales, zeros, op)
                if KERNELS["mean_dsp"].reject(graph.nodes[0], graph, board) is None:
                    found.append(graph)
    assert len(found) > len(CASES) * 3
    return found


def test_random_means_and_sums() -> None:
    check_kernel(graphs(7), 6, board="cortex-m4", builds=BUILDS[1:], kernel="mean_dsp")


@pytest.mark.parametrize("core", CORES)
def test_emulated_cores(core: str) -> None:
    check_on_board(graphs(8), core)


def test_rejects_what_halves_of_words_do_not_hold() -> None:
    board = load_board("cortex-m4")
    cases = (((1, 16, 16, 4), (1, 2), True), ((1, 16, 17, 4), (1, 2), False), ((1, 4, 6), (1,), False))
    for shape, axes, fits in cases:
        graph = mean(shape, axes, (0.1, 0.1), (0, 0))
        assert (KERNELS["mean_dsp"].reject(graph.nodes[0], graph, board) is None) == fits
