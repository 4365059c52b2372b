"""The kernels of reduce_float equal the exact float references, bit by bit, and work in place."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import as_float
from harness import check_kernel, corners_for
from test_mean_portable import CASES, mean

from mcugen.access import Direction
from mcugen.ir import Graph
from mcugen.kernels import KERNELS
from mcugen.ops import OPS

REDUCTIONS = ("mean", "sum", "reduce_max", "reduce_min")


def reduction(op: str, shape: tuple[int, ...], axes: tuple[int, ...]) -> Graph:
    return as_float(mean(shape, axes, (1.0, 1.0), (0, 0), op))


@pytest.mark.parametrize("op", REDUCTIONS)
def test_random_reductions(op: str) -> None:
    graphs = [reduction(op, *case) for case in [*CASES, ((1, 300, 2), (1,))]]
    check_kernel(graphs, kernel=f"{op}_float")
    # which NaN a sum of several is, no compiler says
    check_kernel(graphs, corners_for(graphs, nan=op.startswith("reduce")), kernel=f"{op}_float")


@pytest.mark.parametrize("op", REDUCTIONS)
def test_works_in_place(op: str) -> None:
    for case in CASES:
        graph = reduction(op, *case)
        (access,) = KERNELS[f"{op}_float"].access(graph.nodes[0], graph)
        assert access is not None
        distance = access.distance(Direction.ASCENDING)
        assert distance is not None and distance <= 0 and access.read_end.max() == graph.type("x0").bytes


def test_sums_are_added_in_order() -> None:
    graph = reduction("mean", (1, 4), (1,))
    x = np.array([[1e8, 1.0, -1e8, 3.0]], np.float32)
    (y,) = OPS["mean"].float_exact(graph.nodes[0], graph, [x])
    assert y.tolist() == [[0.75]]


def test_a_nan_is_no_extreme() -> None:
    for op, expected in (("reduce_max", [[2.0], [-np.inf]]), ("reduce_min", [[1.0], [np.inf]])):
        graph = reduction(op, (2, 3), (1,))
        x = np.array([[np.nan, 1.0, 2.0], [np.nan] * 3], np.float32)
        (y,) = OPS[op].float_exact(graph.nodes[0], graph, [x])
        assert y.tolist() == expected
