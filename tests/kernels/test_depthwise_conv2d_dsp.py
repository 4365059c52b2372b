"""depthwise_conv2d_dsp equals the reference for any filter, with every form of its requantization."""

from __future__ import annotations

import numpy as np
import pytest
from harness import BUILDS, check_kernel, check_on_board, leave_out
from random_conv import random_depthwise

from mcugen.ir import Graph
from mcugen.kernels import KERNELS

KERNEL = KERNELS["depthwise_conv2d_dsp"]
CHANNELS = ((1, 1), (2, 1), (4, 1), (7, 1), (12, 1), (1, 4), (2, 5), (3, 2), (1, 9), (9, 1))
FILTERS = ((5, 5), (1, 3), (7, 1), (2, 4), (3, 3), (10, 1), (1, 1))


@pytest.fixture(autouse=True)
def no_other_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers are done by this kernel, whatever is cheaper."""
    others = [n for n, k in KERNELS.items() if "depthwise_conv2d" in k.ops and n != KERNEL.name]
    leave_out(monkeypatch, others)


def layers(seed: int, count: int) -> list[Graph]:
    rng = np.random.default_rng(seed)
    return [
        random_depthwise(rng, FILTERS[i % 7], i % 3 > 0, channels=CHANNELS[i % 10], relu=i % 3 == 1)
        for i in range(count)
    ]


def test_random_convolutions() -> None:
    graphs = layers(2, 40)
    forms = {KERNEL.variant(graph.nodes[0], graph)[0].removeprefix(f"{KERNEL.name}_") for graph in graphs}
    assert forms >= {"affine", "short", "blocks_affine", "blocks_short", "shifted", "wide"}
    check_kernel(graphs, 4, board="cortex-m4", builds=BUILDS[:1], kernel=KERNEL.name)


def test_sanitized() -> None:
    check_kernel(layers(3, 10), 4, board="cortex-m4", builds=BUILDS[1:], kernel=KERNEL.name)


@pytest.mark.slow
@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m7", "cortex-m33"])
def test_on_board(core: str) -> None:
    check_on_board(layers(4, 21), core)
