"""l2_norm_float equals the exact float reference, bit by bit, over shapes and extreme inputs."""

from __future__ import annotations

import numpy as np
from graphs import one_node_graph
from harness import check_kernel

from mcugen.access import Direction
from mcugen.ir import Graph, TensorType
from mcugen.kernels import KERNELS
from mcugen.ops import OPS

SHAPES = ((1, 12), (3, 2), (1, 5, 4, 7), (1, 1), (1, 700))


def graph_of(shape: tuple[int, ...]) -> Graph:
    return one_node_graph("l2_norm", [TensorType(shape)], {}, TensorType(shape))


def test_shapes() -> None:
    graphs = [graph_of(shape) for shape in SHAPES]
    check_kernel(graphs, kernel="l2_norm_float")


def test_extreme_rows() -> None:
    rows = [
        [0, 0, 0],
        [-0.0, 0.0, -0.0],
        [1e-30, 1e-45, -1e-38],
        [1e30, -1e30, 3e38],
        [88, 89, -300],
        [-1e9, -1e9, -1e9],
    ]
    x = np.array(rows, np.float32)[np.newaxis]
    check_kernel(graph_of(x.shape), x[np.newaxis])


def test_close_to_the_float_reference() -> None:
    graph = graph_of((1, 9, 30))
    x = 3.0 * np.random.default_rng(0).standard_normal((4, 9, 30)).astype(np.float32)
    room = OPS["l2_norm"]
    exact, reference = (f(graph.nodes[0], graph, [x])[0] for f in (room.float_exact, room.float_reference))
    assert exact.dtype == np.float32
    np.testing.assert_allclose(exact, reference, rtol=2e-6, atol=1e-6)


def test_works_in_place() -> None:
    graph = graph_of((4, 5))
    (access,) = KERNELS["l2_norm_float"].access(graph.nodes[0], graph)
    assert access is not None and access.distance(Direction.ASCENDING) == 0
    assert access.read_end.max() == access.write_end.max() == 4 * 5 * 4
