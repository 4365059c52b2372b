"""prelu_portable equals the reference over shapes, slopes and scales."""

from __future__ import annotations

import numpy as np

from mcugen.access import Direction
from mcugen.kernels import KERNELS
from tests.graphs import int8_constant, int8_type, one_node_graph, random_int8
from tests.kernels.harness import check_kernel

SHAPES = [
    ((1, 7, 5, 3), (1, 1, 1, 3)),
    ((1, 7, 5, 3), (1, 7, 5, 3)),
    ((1, 7, 5, 3), (1, 1, 5, 1)),
    ((1, 9), (1, 1)),
]


def test_random_slopes(rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    graphs = []
    for x, slopes in SHAPES:
        for scale in (0.004, 0.1, 3.0, 1e-9, 1e-20, 1e9):
            zx, zs, zy = (int(z) for z in rng.choice([-128, 127, *rng.integers(-128, 128, 4)], 3))
            constant = int8_constant(random_int8(rng, slopes), 0.01, zs)
            operands = [int8_type(x, 0.1, zx), constant if scale != 0.1 else int8_type(slopes, 0.01, zs)]
            graphs.append(one_node_graph("prelu", operands, {}, int8_type(x, scale, zy)))
    check_kernel(graphs, kernel="prelu_portable")


def test_works_in_place() -> None:
    constant = int8_constant(np.zeros((1, 3)), 0.01)
    graph = one_node_graph("prelu", [int8_type((1, 3)), constant], {}, int8_type((1, 3)))
    x, slopes = KERNELS["prelu_portable"].access(graph.nodes[0], graph)
    assert x is not None and x.distance(Direction.ASCENDING) == 0 and slopes is None
