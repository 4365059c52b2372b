"""softmax_portable equals the reference over shapes, scales and extreme inputs, and works in place."""

from __future__ import annotations

import pytest

from mcugen.access import Direction
from mcugen.boards import load_board
from mcugen.errors import InternalError
from mcugen.kernels import KERNELS
from mcugen.place import Buffer, Plan
from mcugen.plan_check import StepAccess, check_plan
from tests.graphs import int8_type, one_node_graph
from tests.kernels.harness import check_kernel, leave_out


def test_shapes_and_scales(monkeypatch: pytest.MonkeyPatch) -> None:
    leave_out(monkeypatch, ["softmax_table"])
    graphs = [
        one_node_graph("softmax", [int8_type(s, f, z)], {"beta": b}, int8_type(s, 1 / 256, -128))
        for s in ((1, 12), (3, 2), (1, 5, 4, 7), (1, 1), (1, 700))
        for f, z, b in ((1e-9, 0, 1.0), (1e-3, -128, 1.0), (0.1, 5, 0.3), (0.77, 127, 1.0), (50.0, 1, 1.0))
    ]
    check_kernel(graphs, kernel="softmax_portable")


@pytest.mark.parametrize(("rows", "depth"), [(1, 1), (1, 9), (4, 5), (5, 1)])
def test_works_in_place_and_no_lower(rows: int, depth: int) -> None:
    x = int8_type((rows, depth), 0.05)
    graph = one_node_graph("softmax", [x], {"beta": 1.0}, x)
    (access,) = KERNELS["softmax_portable"].access(graph.nodes[0], graph)
    assert access is not None and access.distance(Direction.ASCENDING) == 0
    buffers = [Buffer("x", rows * depth, 0, 1), Buffer("y", rows * depth, 1, 2)]
    step = StepAccess(1, "y", (("x", access),), Direction.ASCENDING)

    def place(offset_x: int, offset_y: int) -> None:
        size = rows * depth + max(offset_x, offset_y)
        offsets = {"x": offset_x, "y": offset_y}
        check_plan(Plan(offsets, {1: Direction.ASCENDING}, size, size), buffers, [step])

    place(0, 0)
    place(3, 0)
    if rows * depth > 1:
        with pytest.raises(InternalError, match="destroyed"):
            place(0, 1)


def test_rejects_rows_that_the_sum_cannot_hold() -> None:
    board, kernel = load_board("host"), KERNELS["softmax_portable"]
    for depth, fits in ((4095, True), (4096, False)):
        x = int8_type((1, depth), 0.1)
        graph = one_node_graph("softmax", [x], {"beta": 1.0}, x)
        assert (kernel.reject(graph.nodes[0], graph, board) is None) == fits
