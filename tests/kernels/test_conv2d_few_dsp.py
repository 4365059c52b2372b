"""conv2d_few_dsp equals the reference: on this computer through its twin, and on emulated cores."""

from __future__ import annotations

import numpy as np
import pytest
from harness import BUILDS, check_kernel, check_on_board, leave_out
from random_conv import random_conv
from test_conv2d_dsp import BOARD, CORES, conv

from mcugen.access import Direction
from mcugen.boards import load_board
from mcugen.ir import Graph
from mcugen.kernels import KERNELS

NAME = "conv2d_few_dsp"


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only this kernel and the portable one."""
    leave_out(monkeypatch, [name for name in KERNELS if "dsp" in name and name != NAME])


def heads(rng: np.random.Generator) -> list[Graph]:
    """Every rest, words and turns of them, one to three outputs, strides, clamps, all forms of requantization."""
    depths = (1, 2, 3, 4, 6, 9, 15, 16, 31, 32, 33, 48, 67)
    graphs = [conv(rng, (3, 4, depth), int(rng.integers(1, 4))) for depth in depths]
    graphs += [conv(rng, (5, 4, depth), 2, strides=(2, 3)) for depth in (5, 8, 50)]
    graphs += [conv(rng, (7, 1, 6), 1, strides=(2, 3)), conv(rng, (1, 7, 5), 2, strides=(3, 2))]
    graphs += [conv(rng, (3, 3, 8), outputs, clamp=(0.0, 6.0)) for outputs in (1, 2, 3)]
    graphs += [conv(rng, (3, 3, 7), 3, shifts=shifts) for shifts in ((-8, 3), (1, 31), (0, 1))]
    graphs += [conv(rng, (3, 3, 20), 2, weights=(-128, -128)), conv(rng, (1, 7, 40), 3, weights=(127, 127))]
    return graphs


def test_heads_with_sanitizers(alone: None) -> None:
    check_kernel(heads(np.random.default_rng(1)), 4, board=BOARD, builds=BUILDS[2:], kernel=NAME, apart=True)


def test_over_the_input(alone: None) -> None:
    rng = np.random.default_rng(2)
    for depth, outputs, strides in ((1, 1, (1, 1)), (2, 3, (1, 1)), (3, 3, (1, 1)), (1, 3, (2, 2))):
        graph = conv(rng, (5, 6, depth), outputs, strides=strides)
        check_kernel(graph, 4, board=BOARD, builds=BUILDS[:1], kernel=NAME)
    (access, *_) = KERNELS[NAME].access((same := conv(rng, (5, 5, 3), 3)).nodes[0], same)
    assert access is not None and access.distance(Direction.ASCENDING) == 0


@pytest.mark.parametrize(
    ("why", "graph"),
    [
        ("more than 3", conv(np.random.default_rng(3), (4, 4, 8), 4)),
        ("not 1x1", conv(np.random.default_rng(3), (4, 4, 8), 2, (1, 2))),
        ("not 1x1", conv(np.random.default_rng(3), (4, 4, 8), 2, pads=(0, 1, 0, 0))),
        ("not 1x1", conv(np.random.default_rng(3), (4, 4, 8), 2, channels_first=True)),
        ("not 1x1", conv(np.random.default_rng(3), (4, 4, 8), 2, pads=(0, 0, 0, 1))),
        ("not 1x1", conv(np.random.default_rng(3), (4, 4, 8), 2, groups=2)),
    ],
)
def test_what_it_refuses(why: str, graph: Graph) -> None:
    assert why in str(KERNELS[NAME].reject(graph.nodes[0], graph, load_board(BOARD)))


@pytest.mark.slow
@pytest.mark.parametrize("core", CORES)
def test_on_board(core: str, alone: None) -> None:
    rng = np.random.default_rng(4)
    check_on_board([*heads(rng), *(random_conv(rng) for _ in range(3))], core)
