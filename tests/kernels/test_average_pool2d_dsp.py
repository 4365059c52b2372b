"""average_pool2d_dsp equals the reference over shapes, windows, padding and clamps, on hosts and emulated cores."""

from __future__ import annotations

import pytest

from mcugen.boards import load_board
from mcugen.ir import Graph
from mcugen.kernels import KERNELS
from tests.graphs import int8_type, one_node_graph
from tests.kernels.harness import BUILDS, check_kernel, check_on_board
from tests.kernels.test_add_dsp import CORES
from tests.kernels.test_max_pool2d_dsp import pools


def whole(h: int, w: int, c: int) -> Graph:
    """One window over all of an image."""
    x, y = int8_type((1, h, w, c), 0.05, -7), int8_type((1, 1, 1, c), 0.05, -7)
    attrs = dict(kernel=(h, w), strides=(1, 1), dilations=(1, 1), pads=(0, 0, 0, 0), count_include_pad=False)
    return one_node_graph("average_pool2d", [x], attrs, y)


def taken(count: int, seed: int) -> list[Graph]:
    """Random layers that the kernel takes."""
    graphs = pools("average_pool2d", count, seed, count_include_pad=True)
    kernel, board = KERNELS["average_pool2d_dsp"], load_board("cortex-m4")
    taken = [g for g in graphs if kernel.reject(g.nodes[0], g, board) is None]
    assert len(taken) > count / 2
    return taken


def test_random_pools() -> None:
    graphs = [*taken(14, 3), whole(16, 16, 8), whole(25, 5, 64), whole(3, 5, 7)]
    check_kernel(graphs, 5, board="cortex-m4", builds=BUILDS[1:], kernel="average_pool2d_dsp")


@pytest.mark.parametrize("core", CORES)
def test_emulated_cores(core: str) -> None:
    check_on_board([*taken(12, 4), whole(16, 16, 8)], core)


def test_rejects_windows_that_are_too_large_or_differ() -> None:
    kernel, board = KERNELS["average_pool2d_dsp"], load_board("cortex-m4")

    def reason(graph: Graph) -> str | None:
        return kernel.reject(graph.nodes[0], graph, board)

    assert reason(whole(16, 16, 4)) is None
    assert "256" in (reason(whole(16, 17, 4)) or "")
    assert "channels" in (reason(whole(4, 4, 3)) or "")
    x = int8_type((1, 4, 4, 4), 0.05)
    attrs = dict(kernel=(3, 3), strides=(1, 1), dilations=(1, 1), pads=(1, 1, 1, 1), count_include_pad=False)
    same = one_node_graph("average_pool2d", [x], attrs, x)
    assert "different" in (reason(same) or "")
    counted = one_node_graph("average_pool2d", [x], {**attrs, "count_include_pad": True}, x)
    assert reason(counted) is None
