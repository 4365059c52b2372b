"""l2_norm_float equals the exact float reference, bit by bit, over shapes and extreme inputs."""

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
    graphs = [row_graph("l2_norm", shape) for shape in SHAPES]
    check_kernel(graphs, kernel="l2_norm_float")


def test_extreme_rows() -> None:
    check_extreme_rows("l2_norm")


def test_close_to_the_float_reference() -> None:
    check_close_to_float_reference("l2_norm")


def test_works_in_place() -> None:
    check_in_place("l2_norm", "l2_norm_float")
