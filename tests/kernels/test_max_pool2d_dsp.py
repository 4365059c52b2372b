"""max_pool2d_dsp equals the reference over shapes, windows, padding and clamps, on hosts and emulated cores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mcugen.ir import Graph
from mcugen.kernels.max_pool2d_dsp import stays_inside
from tests.kernels.harness import BUILDS, check_kernel, check_on_board
from tests.kernels.test_add_dsp import CORES
from tests.kernels.test_max_pool2d_portable import random_pool


def pools(op: str, count: int, seed: int, **more: Any) -> list[Graph]:
    """Random pooling layers of 4 channels or more, half of them without padding."""
    rng, graphs = np.random.default_rng(seed), []
    while len(graphs) < count:
        pads = {"pads": (0, 0, 0, 0)} if len(graphs) % 2 else {}
        graph = random_pool(rng, op, **pads, **more)
        if graph.type(graph.inputs[0]).shape[-1] >= 4:
            graphs.append(graph)
    inside = [stays_inside(g.nodes[0], g) for g in graphs]
    assert any(inside) and not all(inside)
    return graphs


def test_random_pools() -> None:
    check_kernel(pools("max_pool2d", 16, 1), 5, board="cortex-m4", builds=BUILDS[1:], kernel="max_pool2d_dsp")


@pytest.mark.parametrize("core", CORES)
def test_emulated_cores(core: str) -> None:
    check_on_board(pools("max_pool2d", 12, 2), core)
