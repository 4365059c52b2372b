"""max_pool2d_float and average_pool2d_float equal the exact float references, bit by bit."""

from __future__ import annotations

import numpy as np
from graphs import as_float, one_node_graph
from harness import check_kernel, corners_for
from test_max_pool2d_portable import random_pool

from mcugen.ir import TensorType
from mcugen.ops import OPS


def test_random_max_pools() -> None:
    rng = np.random.default_rng(15)
    graphs = [as_float(random_pool(rng, "max_pool2d")) for _ in range(20)]
    check_kernel(graphs, kernel="max_pool2d_float")
    check_kernel(graphs, corners_for(graphs), kernel="max_pool2d_float")


def test_random_average_pools() -> None:
    rng = np.random.default_rng(16)
    some = {"count_include_pad": True, "pads": (1, 0, 2, 2), "counted_pads": (1, 0, 1, 0)}
    ways = ({"count_include_pad": False}, {"count_include_pad": True}, some)
    graphs = [as_float(random_pool(rng, "average_pool2d", **way)) for way in ways for _ in range(7)]
    check_kernel(graphs, kernel="average_pool2d_float")
    check_kernel(graphs, corners_for(graphs, nan=False), kernel="average_pool2d_float")


def test_a_nan_is_never_the_largest() -> None:
    attrs = {"kernel": (1, 2), "strides": (1, 2), "dilations": (1, 1), "pads": (0, 0, 0, 0)}
    x = np.array([np.nan, -3.0, -3.0, np.nan, np.nan, np.nan, -0.0, 0.0], np.float32)
    graph = one_node_graph("max_pool2d", [TensorType((1, 1, 8, 1))], attrs, TensorType((1, 1, 4, 1)))
    (y,) = OPS["max_pool2d"].float_exact(graph.nodes[0], graph, [x.reshape(1, 1, 8, 1)])
    assert y.reshape(-1).tolist() == [-3.0, -3.0, -np.inf, 0.0] and np.signbit(y.reshape(-1)[3])
