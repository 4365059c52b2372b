"""l2_norm_portable equals the reference over shapes and zero points; sums from 0 to the largest."""

from __future__ import annotations

import numpy as np

from tests.graphs import int8_type, one_node_graph
from tests.kernels.harness import check_kernel


def test_shapes_and_zero_points() -> None:
    graphs = [
        one_node_graph("l2_norm", [int8_type(s, 0.1, z)], {}, int8_type(s, 1 / 128))
        for s in ((1, 12), (3, 2), (1, 5, 4, 7), (1, 1), (1, 700), (1, 20000))
        for z in (-128, 5, 127)
    ]
    check_kernel(graphs, kernel="l2_norm_portable")


def test_every_size_of_sum() -> None:
    """Small sums of squares from 0 on, and long rows up to 33,025 * 255^2 < 2^31."""
    one = one_node_graph("l2_norm", [int8_type((1, 400, 2), 0.1, -128)], {}, int8_type((1, 400, 2), 1 / 128))
    rows = np.stack(np.divmod(np.arange(400), 20), axis=-1)
    check_kernel(one, [(rows - 128).astype(np.int8)[np.newaxis, np.newaxis]])
    deep = one_node_graph("l2_norm", [int8_type((1, 33025), 0.1, -128)], {}, int8_type((1, 33025), 1 / 128))
    samples = [np.full((1, 33025), v, np.int8) for v in (-128, -127, -100, 0, 126, 127)]
    check_kernel(deep, [np.stack(samples)])
