"""softmax_float equals the exact float reference, bit by bit, over shapes and extreme inputs."""

from __future__ import annotations

from harness import check_kernel
from row_functions import (
    SHAPES,
    check_close_to_float_reference,
    check_extreme_rows,
    check_in_place,
    row_graph,
)


def test_shapes() -> None:
    graphs = [row_graph("softmax", shape, beta=beta) for shape in SHAPES for beta in (1.0, 0.3, 20.0)]
    check_kernel(graphs, kernel="softmax_float")


def test_extreme_rows() -> None:
    check_extreme_rows("softmax", beta=1.0)


def test_close_to_the_float_reference() -> None:
    check_close_to_float_reference("softmax", beta=1.0)


def test_works_in_place() -> None:
    check_in_place("softmax", "softmax_float", beta=1.0)
