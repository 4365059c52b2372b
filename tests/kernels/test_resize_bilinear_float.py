"""resize_bilinear_float equals the exact float reference over sizes and coordinates; what it may overwrite."""

from __future__ import annotations

import itertools

import numpy as np
from graphs import as_float
from harness import check_kernel, corners_for
from test_resize_bilinear_portable import resize

from mcugen.access import Direction
from mcugen.boards import load_board
from mcugen.kernels import KERNELS
from mcugen.ops import OPS
from mcugen.ops.resize_bilinear import COORDINATES

KERNEL = KERNELS["resize_bilinear_float"]
SHAPES = [(1, 4, 5, 3), (1, 1, 7, 2), (1, 6, 1, 1)]
SIZES = [(8, 10), (3, 2), (1, 1), (5, 9), (11, 4)]


def test_many_sizes() -> None:
    graphs = [as_float(resize(*case)) for case in itertools.product(SHAPES, SIZES, COORDINATES)]
    check_kernel(graphs, kernel="resize_bilinear_float")
    check_kernel(graphs[::2], corners_for(graphs[::2], nan=False), kernel="resize_bilinear_float")


def test_exact_is_near_the_float_reference() -> None:
    rng = np.random.default_rng(4)
    for case in itertools.product(SHAPES, SIZES, COORDINATES):
        graph = as_float(resize(*case))
        x = rng.standard_normal((3, *case[0][1:])).astype(np.float32)
        room, node = OPS["resize_bilinear"], graph.nodes[0]
        (exact,), (near,) = room.float_exact(node, graph, [x]), room.float_reference(node, graph, [x])
        assert exact.dtype == np.float32
        np.testing.assert_allclose(exact, near, rtol=0, atol=1e-6)


def test_upsampling_in_place_runs_from_the_last_row() -> None:
    graph = as_float(resize((1, 4, 4, 2), (8, 8), "half_pixel"))
    (access,) = KERNEL.access(graph.nodes[0], graph)
    assert access is not None
    upwards, downwards = (access.distance(d) for d in (Direction.ASCENDING, Direction.DESCENDING))
    assert upwards is not None and downwards is not None and downwards < upwards


def test_batches_are_refused() -> None:
    graph = as_float(resize((2, 4, 4, 2), (8, 8), "half_pixel"))
    assert KERNEL.reject(graph.nodes[0], graph, load_board("host")) == "a batch of images"
