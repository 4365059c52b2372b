"""mul_linear equals the reference over shapes, broadcasting, constants, scales and clamps."""

from __future__ import annotations

import numpy as np

from tests.graphs import int8_type, one_node_graph
from tests.kernels.harness import check_kernel
from tests.kernels.test_add_linear import all_pairs, served


def test_random_products(rng_seed: int) -> None:
    check_kernel(served("mul", "mul_linear", np.random.default_rng(rng_seed)), 24, kernel="mul_linear")


def test_every_pair_of_bytes_under_usual_scales() -> None:
    """A gate of squeeze and excitation, and powers of two, whose halves are exact."""
    gate = int8_type((1, 256), 1 / 256, -128)
    cases = [
        (int8_type((1, 256), 0.0313, -117), gate, int8_type((1, 256), 0.0290, -117)),
        (int8_type((1, 256), 2.0**-4, 5), int8_type((1, 256), 2.0**-5, -3), int8_type((1, 256), 2.0**-3, 11)),
    ]
    for a, b, y in cases:
        graph = one_node_graph("mul", [a, b], {}, y)
        check_kernel(graph, all_pairs(), builds=(("gcc", ("-O3",)),), kernel="mul_linear")
