"""elementwise_int16_dsp equals the reference: every operator, broadcasting, constants, clamps and far scales, on hosts
and emulated cores."""

from __future__ import annotations

import numpy as np
import pytest

from mcugen.boards import load_board
from mcugen.ir import Graph
from mcugen.kernels import KERNELS
from mcugen.kernels.elementwise_int16_dsp import saturates_alike
from tests.graphs import int16_type, one_node_graph
from tests.kernels.harness import BUILDS, check_kernel, check_on_board
from tests.kernels.test_add_dsp import CORES
from tests.kernels.test_elementwise_int16 import graph_of

KERNEL = KERNELS["elementwise_int16_dsp"]
SHAPES = [((1, 41), (1, 41)), ((1, 5, 1, 8), (1, 1, 6, 8)), ((1, 7, 3), (1, 1, 3)), ((1, 2), (1, 2))]


def taken(op: str, rng: np.random.Generator, each: int) -> list[Graph]:
    """Random nodes that the kernel takes."""
    board = load_board("cortex-m4")
    graphs = [graph_of(op, rng, shapes, i % 2 == 1) for shapes in SHAPES for i in range(each)]
    able = [g for g in graphs if KERNEL.reject(g.nodes[0], g, board) is None]
    assert len(able) >= len(graphs) / 2
    return able


@pytest.mark.parametrize("op", KERNEL.ops)
def test_random_operands(op: str) -> None:
    graphs = taken(op, np.random.default_rng(1), 2)
    check_kernel(graphs, 12, board="cortex-m4", builds=BUILDS[1:], kernel=KERNEL.name)


@pytest.mark.parametrize("core", CORES)
def test_emulated_cores(core: str) -> None:
    rng = np.random.default_rng(2)
    check_on_board([g for op in KERNEL.ops for g in taken(op, rng, 2)], core)


@pytest.mark.parametrize("op", ["add", "sub"])
@pytest.mark.parametrize("scales", [(0.5, 0.5), (0.5, 0.4), (0.1, 0.5), (0.25, 0.5)])
def test_operands_of_equal_and_of_other_scales(op: str, scales: tuple[float, float]) -> None:
    """Ends of the type against each other, and sums about halves."""
    ends = np.array([-32768, -32767, -16384, -3, -2, -1, 0, 1, 2, 3, 5, 16384, 32766, 32767], np.int16)
    a, b = (g.reshape(1, 1, -1) for g in np.meshgrid(ends, ends))
    for out in (0.8, 1.0, 2.0, 3.7):
        x, y = (int16_type(a.shape[1:], scale) for scale in scales)
        graph = one_node_graph(op, [x, y], {}, int16_type(a.shape[1:], out))
        if KERNEL.reject(graph.nodes[0], graph, load_board("cortex-m4")) is None:
            check_kernel(graph, [a, b], board="cortex-m4", builds=(("gcc", ("-O2",)),), kernel=KERNEL.name)


def test_the_product_that_doubled_leaves_32_bits() -> None:
    """It is taken only where its output is the same."""
    board, least = load_board("cortex-m4"), np.full((1, 1, 4), -32768, np.int16)
    answers = []
    for scale in (2.1, 30.0, 20000.0, 32767.9, 65536.0, 1e6, 2.0**29):
        x = int16_type((1, 4), 1.0)
        graph = one_node_graph("mul", [x, x], {}, int16_type((1, 4), scale))
        answers.append(KERNEL.reject(graph.nodes[0], graph, board) is None)
        if answers[-1]:
            check_kernel(
                graph, [least, least], board="cortex-m4", builds=(("gcc", ("-O2",)),), kernel=KERNEL.name
            )
    assert all(answers)
    assert not saturates_alike((1 << 30) + 1, -1, -(1 << 31), (1 << 31) - 1)


def test_rejects_what_does_not_go_on_element_by_element() -> None:
    board = load_board("cortex-m4")
    for b, fits in (((1, 4, 6), True), ((1, 1, 6), True), ((1, 4, 1), False), ((1, 1, 1), False)):
        graph = one_node_graph("add", [int16_type((1, 4, 6)), int16_type(b)], {}, int16_type((1, 4, 6), 3.0))
        assert (KERNEL.reject(graph.nodes[0], graph, board) is None) == fits
