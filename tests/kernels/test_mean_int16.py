"""mean_int16 equals the reference: mean and sum over every axis and scale."""

from __future__ import annotations

import pytest
from graphs import int16_type, one_node_graph
from harness import check_kernel

from mcugen.boards import load_board
from mcugen.ir import Graph
from mcugen.kernels import KERNELS
from mcugen.ops import OPS

KERNEL = KERNELS["mean_int16"]


def graph_of(op: str, shape: tuple[int, ...], axes: tuple[int, ...], scale: float) -> Graph:
    x = int16_type(shape, 0.001)
    attrs = {"axes": axes, "keepdims": True}
    probe = one_node_graph(op, [x], attrs, x)
    (y,) = OPS[op].infer(probe.nodes[0], [x])
    return one_node_graph(op, [x], attrs, int16_type(y.shape, scale))


@pytest.mark.parametrize("op", KERNEL.ops)
def test_axes_and_scales(op: str) -> None:
    cases = [((1, 7, 6, 9), axes) for axes in ((1, 2), (1,), (2,), (3,), (1, 2, 3))] + [((1, 1000), (1,))]
    graphs = [graph_of(op, *case, scale) for case in cases for scale in (0.001, 0.00003, 0.05)]
    check_kernel(graphs, kernel=KERNEL.name)


def test_sums_that_leave_int32_are_refused() -> None:
    board = load_board("host")
    for count, fits in ((65535, True), (65536, False)):
        graph = graph_of("mean", (1, count), (1,), 0.001)
        assert (KERNEL.reject(graph.nodes[0], graph, board) is None) == fits
