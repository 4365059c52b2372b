"""What the float functions of a row have in common: one row of the last axis becomes another, in place."""

from __future__ import annotations

import numpy as np
from graphs import one_node_graph
from harness import check_kernel

from mcugen.access import Direction
from mcugen.ir import Attr, Graph, TensorType
from mcugen.kernels import KERNELS
from mcugen.ops import OPS

SHAPES = ((1, 12), (3, 2), (1, 5, 4, 7), (1, 1), (1, 700))
EXTREME = (
    (0, 0, 0),
    (-0.0, 0.0, -0.0),
    (1e-30, 1e-45, -1e-38),
    (1e30, -1e30, 3e38),
    (88, 89, -300),
    (-1e9, -1e9, -1e9),
)


def row_graph(op: str, shape: tuple[int, ...], **attrs: Attr) -> Graph:
    return one_node_graph(op, [TensorType(shape)], attrs, TensorType(shape))


def check_extreme_rows(op: str, **attrs: Attr) -> None:
    """The kernel equals the exact reference on rows at the ends of float32."""
    x = np.array(EXTREME, np.float32)[np.newaxis]
    check_kernel(row_graph(op, x.shape, **attrs), x[np.newaxis])


def check_close_to_float_reference(op: str, **attrs: Attr) -> None:
    """The exact reference is numpy's, up to rounding."""
    graph = row_graph(op, (1, 9, 30), **attrs)
    x = 3.0 * np.random.default_rng(0).standard_normal((4, 9, 30)).astype(np.float32)
    exact, reference = (
        f(graph.nodes[0], graph, [x])[0] for f in (OPS[op].float_exact, OPS[op].float_reference)
    )
    assert exact.dtype == np.float32
    np.testing.assert_allclose(exact, reference, rtol=2e-6, atol=1e-6)


def check_in_place(op: str, kernel: str, **attrs: Attr) -> None:
    graph = row_graph(op, (4, 5), **attrs)
    (access,) = KERNELS[kernel].access(graph.nodes[0], graph)
    assert access is not None and access.distance(Direction.ASCENDING) == 0
    assert access.read_end.max() == access.write_end.max() == 4 * 5 * 4
