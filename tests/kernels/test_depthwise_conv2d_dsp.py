"""depthwise_conv2d_dsp equals the reference for any filter, with every form of its requantization."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from harness import BUILDS, check_kernel, check_on_board, leave_out
from random_conv import random_depthwise

from mcugen.boards import load_board
from mcugen.ir import Graph
from mcugen.kernels import KERNELS

KERNEL = KERNELS["depthwise_conv2d_dsp"]
BOARD = load_board("cortex-m4")
CHANNELS = (4, 7, 12, 9, 5)
FILTERS = ((5, 5), (1, 3), (7, 1), (2, 4), (3, 3), (10, 1), (1, 1))


@pytest.fixture(autouse=True)
def no_other_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers are done by this kernel, whatever is cheaper."""
    others = [n for n, k in KERNELS.items() if "depthwise_conv2d" in k.ops and n != KERNEL.name]
    leave_out(monkeypatch, others)


def layers(seed: int, count: int) -> list[Graph]:
    """Random layers that the kernel takes, half of them with a fused ReLU."""
    rng = np.random.default_rng(seed)
    found: list[Graph] = []
    while len(found) < count:
        i = len(found)
        graph = random_depthwise(rng, FILTERS[i % 7], True, channels=(CHANNELS[i % 5], 1), relu=i % 2 == 1)
        if KERNEL.reject(graph.nodes[0], graph, BOARD) is None:
            found.append(graph)
    return found


def test_random_convolutions() -> None:
    graphs = layers(2, 35)
    forms = {KERNEL.variant(graph.nodes[0], graph)[0].removeprefix(f"{KERNEL.name}_") for graph in graphs}
    assert forms == {"affine", "short"}
    check_kernel(graphs, 4, board="cortex-m4", builds=BUILDS[:1], kernel=KERNEL.name)


def test_sanitized() -> None:
    check_kernel(layers(3, 10), 4, board="cortex-m4", builds=BUILDS[1:], kernel=KERNEL.name)


def test_what_it_refuses() -> None:
    rng = np.random.default_rng(5)
    for channels, usual in (((3, 1), True), ((4, 2), True), ((4, 1), False)):
        graph = random_depthwise(rng, (3, 3), usual, channels=channels)
        assert KERNEL.reject(graph.nodes[0], graph, BOARD) is not None
    graph = layers(6, 1)[0]
    beside = replace(graph.nodes[0], attrs={**graph.nodes[0].attrs, "pads": (40, 0, 0, 0)})
    assert KERNEL.reject(beside, graph, BOARD) == "windows that lie beside the input"


@pytest.mark.slow
@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m7", "cortex-m33"])
def test_on_board(core: str) -> None:
    check_on_board(layers(4, 21), core)
