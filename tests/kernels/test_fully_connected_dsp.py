"""fully_connected_dsp equals the reference: on this computer through its twin, and on emulated cores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from harness import BUILDS, check_kernel, check_on_board
from test_conv2d_dsp import BOARD, CORES, conv

from mcugen.boards import load_board
from mcugen.ir import Graph, Quant
from mcugen.kernels import KERNELS
from mcugen.kernels.fully_connected_dsp import is_shared


def whole(rng: np.random.Generator, depth: int, channels: int, **more: object) -> Graph:
    """A convolution whose window is its input: one dense vector."""
    return conv(rng, (1, 1, depth), channels, **more)  # type: ignore[arg-type]


def test_every_rest() -> None:
    rng = np.random.default_rng(1)
    graphs = [whole(rng, depth, int(rng.integers(6, 30))) for depth in (*range(1, 24), 96, 131)]
    graphs += [whole(rng, int(rng.integers(8, 80)), channels) for channels in range(1, 20)]
    graphs += [conv(rng, (3, 5, 7), 24, (3, 5)), whole(rng, 40, 24, clamp=(0.0, 6.0))]
    check_kernel(graphs, 4, board=BOARD, builds=BUILDS[2:], kernel="fully_connected_dsp", apart=True)


def one_scale(graph: Graph, shift: float) -> Graph:
    """The same layer with one scale for all its weights."""
    old = graph.tensors["w"]
    quant = Quant((float(np.float32(2.0**-shift)),), (0,))
    return replace(graph, tensors={**graph.tensors, "w": replace(old, type=replace(old.type, quant=quant))})


def shared_graphs() -> list[Graph]:
    rng = np.random.default_rng(3)
    graphs = [whole(rng, depth, int(rng.integers(1, 40))) for depth in (1, 4, 7, 16, 37, 128, 150)]
    graphs += [whole(rng, 30, channels, clamp=(-5.0, 6.0)) for channels in (3, 8, 17)]
    return [one_scale(graph, 1.0 + 1.7 * i) for i, graph in enumerate(graphs)]


def test_one_scale_for_all_channels() -> None:
    graphs = shared_graphs()
    assert all(is_shared(g.nodes[0], g) for g in graphs)
    check_kernel(graphs, 4, board=BOARD, builds=BUILDS, kernel="fully_connected_dsp", apart=True)


@pytest.mark.slow
@pytest.mark.parametrize("core", CORES)
def test_on_board(core: str) -> None:
    rng = np.random.default_rng(4)
    check_on_board([*shared_graphs(), *(whole(rng, depth, 19) for depth in (5, 64, 131))], core)


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
