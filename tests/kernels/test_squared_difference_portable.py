"""squared_difference_portable equals the reference over shapes, broadcasting, constants, scales and clamps."""

from __future__ import annotations

import numpy as np

from mcugen.kernels.squared_difference_portable import SQUARE_BOUND
from mcugen.ops import OPS
from tests.graphs import int8_type, one_node_graph
from tests.kernels.harness import check_kernel
from tests.kernels.test_add_portable import SHAPES, random_binary


def test_random_differences(rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    graphs = [random_binary("squared_difference", s, rng) for s in SHAPES for _ in range(3)]
    x = int8_type((1, 40), 1.0, -128)
    graphs += [
        one_node_graph("squared_difference", [x, x], {}, int8_type((1, 40), s))
        for s in (1e-20, 1e-9, 1.0, 1e9)
    ]
    check_kernel(graphs, kernel="squared_difference_portable")


def test_the_bound_holds_at_the_ends() -> None:
    assert SQUARE_BOUND < 1 << 31
    a, b = int8_type((1, 1), 1.0, 127), int8_type((1, 1), 1.0, -128)
    graph = one_node_graph("squared_difference", [a, b], {}, int8_type((1, 1), 4080.0, -128))
    ends = [np.full((1, 1), v, np.int8) for v in (-128, 127)]
    assert OPS["squared_difference"].reference(graph.nodes[0], graph, ends)[0] == round(510**2 / 4080) - 128
