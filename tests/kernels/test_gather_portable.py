"""gather_portable equals the reference for rows, columns, both and single elements."""

from __future__ import annotations

import numpy as np
from graphs import as_float, int8_type, one_node_graph
from harness import check_kernel, corners_for

from mcugen.access import Direction
from mcugen.boards import load_board
from mcugen.ir import Graph
from mcugen.kernels import KERNELS
from mcugen.ops import OPS

KERNEL = KERNELS["gather_portable"]


def gather(shape: tuple[int, ...], chosen: dict[int, list[int]]) -> Graph:
    indices = tuple(tuple(chosen[i]) if i in chosen else None for i in range(len(shape)))
    attrs, x = {"indices": indices}, int8_type(shape, 0.1, -9)
    probe = one_node_graph("gather", [x], attrs, x)
    (y,) = OPS["gather"].infer(probe.nodes[0], [x])
    return one_node_graph("gather", [x], attrs, int8_type(y.shape, 0.1, -9))


def random_gathers() -> list[Graph]:
    rng = np.random.default_rng(12)
    shape, graphs = (2, 5, 4, 3), []
    for axes in ((0,), (1,), (2,), (3,), (0, 1), (1, 2), (2, 3)):
        for _ in range(3):
            chosen = {a: rng.integers(0, shape[a], int(rng.integers(1, 8))).tolist() for a in axes}
            graphs.append(gather(shape, chosen))
    return [*graphs, gather((1, 6), {1: [5, 5, 0]})]


def test_random_gathers() -> None:
    check_kernel(random_gathers(), kernel="gather_portable")


def test_wider_elements() -> None:
    graphs = [as_float(graph) for graph in random_gathers()]
    check_kernel(graphs, corners_for(graphs), kernel="gather_portable")
    graph = as_float(gather((1, 4, 3, 2), {1: [0, 0, 1, 1, 2, 2, 3, 3]}))
    (access,) = KERNEL.access(graph.nodes[0], graph)
    assert access is not None
    assert access.distance(Direction.DESCENDING) == 4 * 6


def test_repeated_rows_run_downwards_in_place() -> None:
    """Every row twice: written from the last one on, the output may lie where the input does."""
    graph = gather((1, 4, 3, 2), {1: [0, 0, 1, 1, 2, 2, 3, 3]})
    (access,) = KERNEL.access(graph.nodes[0], graph)
    assert access is not None
    assert access.distance(Direction.DESCENDING) == 6
    check_kernel(graph, kernel="gather_portable")


def test_long_axes_are_refused() -> None:
    graph = gather((1, 1, 40000), {2: [39999]})
    assert KERNEL.reject(graph.nodes[0], graph, load_board("host")) == "axes beyond 32767 elements"
