"""resize_bilinear_portable equals the reference over sizes and coordinates; what it may overwrite."""

from __future__ import annotations

import itertools

from graphs import int8_type, one_node_graph
from harness import check_kernel

from mcugen.access import Direction
from mcugen.boards import load_board
from mcugen.ir import Graph
from mcugen.kernels import KERNELS
from mcugen.ops.resize_bilinear import COORDINATES

KERNEL = KERNELS["resize_bilinear_portable"]


def resize(shape: tuple[int, int, int, int], size: tuple[int, int], coordinates: str) -> Graph:
    y = int8_type((shape[0], *size, shape[3]), 0.1, -9)
    attrs = {"size": size, "coordinates": coordinates}
    return one_node_graph("resize_bilinear", [int8_type(shape, 0.1, -9)], attrs, y)


def test_many_sizes() -> None:
    shapes = [(1, 4, 5, 3), (1, 1, 7, 2), (1, 6, 1, 1)]
    sizes = [(8, 10), (3, 2), (1, 1), (5, 9), (11, 4)]
    graphs = [resize(*case) for case in itertools.product(shapes, sizes, COORDINATES)]
    check_kernel(graphs, kernel="resize_bilinear_portable")


def test_upsampling_in_place_runs_from_the_last_row() -> None:
    graph = resize((1, 4, 4, 2), (8, 8), "half_pixel")
    (access,) = KERNEL.access(graph.nodes[0], graph)
    assert access is not None
    upwards, downwards = (access.distance(d) for d in (Direction.ASCENDING, Direction.DESCENDING))
    assert upwards is not None and downwards is not None and downwards < upwards


def test_batches_are_refused() -> None:
    graph = resize((2, 4, 4, 2), (8, 8), "half_pixel")
    assert KERNEL.reject(graph.nodes[0], graph, load_board("host")) == "a batch of images"
