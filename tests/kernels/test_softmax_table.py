"""softmax_table equals the reference over shapes, scales and extreme inputs, and works in place."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import int8_type, one_node_graph
from harness import check_kernel, check_on_board, leave_out

from mcugen.ir import Graph
from mcugen.kernels.softmax_table import exponentials

SCALES = ((1e-9, 0, 1.0), (1e-3, -128, 1.0), (0.1, 5, 0.3), (0.77, 127, 1.0), (50.0, 1, 1.0))


def softmax(shape: tuple[int, ...], scale: float, zero: int, beta: float) -> Graph:
    return one_node_graph(
        "softmax", [int8_type(shape, scale, zero)], {"beta": beta}, int8_type(shape, 1 / 256, -128)
    )


def test_shapes_and_scales() -> None:
    shapes = ((1, 12), (3, 2), (1, 5, 4, 7), (1, 1), (1, 700))
    check_kernel([softmax(shape, *scale) for shape in shapes for scale in SCALES], kernel="softmax_table")


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m4"])
def test_on_board(core: str, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_out(monkeypatch, ["softmax_portable"])
    check_on_board([softmax((2, 9), *scale) for scale in SCALES], core)


@pytest.mark.parametrize(("scale", "entries"), [(1e-3, 256), (0.1, 250), (0.77, 33), (50.0, 2)])
def test_the_table_ends_where_nothing_counts(scale: float, entries: int) -> None:
    graph = softmax((1, 9), scale, 0, 1.0)
    table = exponentials(graph.nodes[0], graph)
    assert len(table) == entries and table[0] == 2**31 - 1
    assert (np.diff(table.astype(np.int64)) <= 0).all() and (table[-1] == 0 or entries == 256)
