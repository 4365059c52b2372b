"""reduce_portable equals the references of reduce_max and reduce_min, and works in place."""

from __future__ import annotations

import pytest
from graphs import int8_type, one_node_graph
from harness import check_kernel

from mcugen.access import Direction
from mcugen.ir import Graph
from mcugen.kernels import KERNELS
from mcugen.ops import OPS

CASES = [((1, 25, 5, 7), (1, 2)), ((1, 4, 6), (2,)), ((1, 3, 4, 5), (2,)), ((3, 4), (0,)), ((1, 3, 1), (2,))]


def extreme(op: str, shape: tuple[int, ...], axes: tuple[int, ...]) -> Graph:
    attrs, x = {"axes": axes, "keepdims": False}, int8_type(shape, 0.1, -9)
    probe = one_node_graph(op, [x], attrs, x)
    (y,) = OPS[op].infer(probe.nodes[0], [x])
    return one_node_graph(op, [x], attrs, int8_type(y.shape, 0.1, -9))


def test_random_extremes() -> None:
    graphs = [extreme(op, *case) for op in ("reduce_max", "reduce_min") for case in CASES]
    check_kernel(graphs, kernel="reduce_portable")


@pytest.mark.parametrize(("shape", "axes"), CASES)
def test_works_in_place(shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    graph = extreme("reduce_min", shape, axes)
    (access,) = KERNELS["reduce_portable"].access(graph.nodes[0], graph)
    assert access is not None
    distance = access.distance(Direction.ASCENDING)
    assert distance is not None and distance <= 0
