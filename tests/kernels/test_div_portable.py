"""div_portable equals the reference over shapes, broadcasting, constants, scales, clamps and divisors of 0."""

from __future__ import annotations

import numpy as np

from tests.graphs import int8_constant, int8_type, one_node_graph
from tests.kernels.harness import check_kernel
from tests.kernels.test_add_portable import SHAPES, random_binary


def test_random_quotients(rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    check_kernel([random_binary("div", s, rng) for s in SHAPES for _ in range(3)], kernel="div_portable")


def test_every_quotient() -> None:
    every = np.arange(-128, 128)
    graphs = []
    for scale, zero in ((0.05, 3), (1e-9, -128), (1e-4, 127), (8.0, 0), (1e9, 0)):
        b = int8_constant(every.reshape(1, 1, 256), 1.0, zero)
        a = int8_constant(every.reshape(1, 256, 1), 1.0, -zero)
        y = int8_type((1, 256, 256), scale, -5)
        graphs += [
            one_node_graph("div", [int8_type((1, 256, 1), 1.0, -zero), b], {}, y),
            one_node_graph("div", [a, int8_type((1, 1, 256), 1.0, zero)], {"clamp": (0.0, 6.0)}, y),
        ]
    check_kernel(graphs, inputs=2)
