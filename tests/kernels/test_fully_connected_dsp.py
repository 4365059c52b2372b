"""fully_connected_dsp equals the reference: on this computer through its twin."""

from __future__ import annotations

import numpy as np
from harness import BUILDS, check_kernel
from test_conv2d_dsp import BOARD, conv

from mcugen.boards import load_board
from mcugen.ir import Graph
from mcugen.kernels import KERNELS


def whole(rng: np.random.Generator, depth: int, channels: int, **more: object) -> Graph:
    """A convolution whose window is its input: one dense vector."""
    return conv(rng, (1, 1, depth), channels, **more)  # type: ignore[arg-type]


def test_every_rest() -> None:
    rng = np.random.default_rng(1)
    graphs = [whole(rng, depth, int(rng.integers(6, 30))) for depth in (*range(1, 24), 96, 131)]
    graphs += [whole(rng, int(rng.integers(8, 80)), channels) for channels in range(1, 20)]
    graphs += [conv(rng, (3, 5, 7), 24, (3, 5)), whole(rng, 40, 24, clamp=(0.0, 6.0))]
    check_kernel(graphs, 4, board=BOARD, builds=BUILDS[2:], kernel="fully_connected_dsp", apart=True)


def test_edges_of_the_conditions() -> None:
    rng = np.random.default_rng(2)
    graphs = [
        whole(rng, 512, 16, weights=(127, 127), shifts=(10, 14)),
        whole(rng, 250, 16, weights=(-127, -127), shifts=(10, 14)),
        whole(rng, 40, 16, shifts=(1, 31)),
    ]
    check_kernel(graphs, 4, board=BOARD, builds=BUILDS[:1], apart=True)
    kernel, board = KERNELS["fully_connected_dsp"], load_board(BOARD)
    small, large = whole(rng, 250, 16, weights=(-127, -127)), whole(rng, 600, 16, weights=(-127, -127))
    assert kernel.reject(small.nodes[0], small, board) is None
    assert kernel.reject(large.nodes[0], large, board) is not None
