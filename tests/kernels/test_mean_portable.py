"""mean_portable equals the references of mean and sum over axes and scales, far-apart ones too, and works in place."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import int8_type, one_node_graph
from harness import check_kernel

from mcugen.access import Direction
from mcugen.ir import Graph
from mcugen.kernels import KERNELS
from mcugen.ops import OPS


def mean(
    shape: tuple[int, ...],
    axes: tuple[int, ...],
    scales: tuple[float, float],
    zeros: tuple[int, int],
    op: str = "mean",
) -> Graph:
    attrs = {"axes": axes, "keepdims": True}
    x = int8_type(shape, scales[0], zeros[0])
    probe = one_node_graph(op, [x], attrs, x)
    (y,) = OPS[op].infer(probe.nodes[0], [x])
    return one_node_graph(op, [x], attrs, int8_type(y.shape, scales[1], zeros[1]))


CASES = [
    ((1, 25, 5, 7), (1, 2)),
    ((1, 4, 6), (2,)),
    ((1, 3, 4, 5), (2,)),
    ((3, 4), (0,)),
    ((1, 5, 1, 3), (1,)),
    ((1, 3, 1), (2,)),
]


@pytest.mark.parametrize("op", ["mean", "sum"])
def test_random_means_and_sums(op: str) -> None:
    rng = np.random.default_rng(7)
    graphs = []
    for shape, axes in CASES:
        for scales in ((0.1, 0.1), (0.1, 0.013), (0.003, 0.5), (0.1, 1e-12), (1e-12, 1.0)):
            first, second = (int(v) for v in rng.integers(-128, 128, 2))
            graphs.append(mean(shape, axes, scales, (first, second), op))
    check_kernel(graphs, kernel="mean_portable")


@pytest.mark.parametrize(("shape", "axes"), CASES)
def test_works_in_place(shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    graph = mean(shape, axes, (0.1, 0.1), (0, 0))
    (access,) = KERNELS["mean_portable"].access(graph.nodes[0], graph)
    assert access is not None
    distance = access.distance(Direction.ASCENDING)
    assert distance is not None and distance <= 0
