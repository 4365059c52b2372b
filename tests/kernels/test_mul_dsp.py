"""mul_dsp equals the reference over shapes, broadcasting, constants, scales and clamps, on hosts and emulated cores."""

from __future__ import annotations

import numpy as np
import pytest

from mcugen.boards import load_board
from mcugen.kernels import KERNELS
from tests.graphs import int8_type, one_node_graph
from tests.kernels.harness import BUILDS, check_kernel, check_on_board
from tests.kernels.test_add_dsp import CORES, dsp_graphs
from tests.kernels.test_add_linear import all_pairs


def test_random_products(rng_seed: int) -> None:
    graphs = dsp_graphs("mul", "mul_dsp", np.random.default_rng(rng_seed))
    check_kernel(graphs, 24, board="cortex-m4", builds=BUILDS[1:], kernel="mul_dsp")


def test_every_pair_of_bytes_under_usual_scales() -> None:
    """A gate of squeeze and excitation, one with a clamp, and powers of two, whose halves are exact."""
    gate = int8_type((1, 256), 1 / 256, -128)
    cases = [
        (int8_type((1, 256), 0.0313, -117), gate, int8_type((1, 256), 0.0290, -117), (-np.inf, np.inf)),
        (int8_type((1, 256), 0.0313, -117), gate, int8_type((1, 256), 0.0290, -117), (0.0, 6.0)),
        (
            int8_type((1, 256), 2.0**-4, 5),
            int8_type((1, 256), 2.0**-5, -3),
            int8_type((1, 256), 2.0**-3, 11),
            (-np.inf, np.inf),
        ),
    ]
    for a, b, y, clamp in cases:
        graph = one_node_graph("mul", [a, b], {"clamp": clamp}, y)
        check_kernel(graph, all_pairs(), board="cortex-m4", builds=(("gcc", ("-O3",)),), kernel="mul_dsp")


@pytest.mark.parametrize("core", CORES)
def test_emulated_cores(core: str) -> None:
    check_on_board(dsp_graphs("mul", "mul_dsp", np.random.default_rng(1), 2), core)


def test_shifts_to_the_right_alone() -> None:
    board, x = load_board("cortex-m4"), int8_type((1, 4), 1.0)
    for scale, taken in ((2.0**-1, False), (2.0, False), (2.1, True), (2.0**23, True), (2.0**24, False)):
        graph = one_node_graph("mul", [x, x], {}, int8_type((1, 4), scale))
        assert (KERNELS["mul_dsp"].reject(graph.nodes[0], graph, board) is None) == taken, scale
