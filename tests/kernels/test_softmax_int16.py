"""softmax_int16 equals the reference: depths, scales, rows."""

from __future__ import annotations

from graphs import int16_type, one_node_graph
from harness import check_kernel

from mcugen.boards import load_board
from mcugen.kernels import KERNELS

KERNEL = KERNELS["softmax_int16"]


def test_rows_and_scales() -> None:
    graphs = [
        one_node_graph("softmax", [int16_type(shape, scale)], {"beta": beta}, int16_type(shape, 1 / 32768))
        for shape in ((1, 2), (1, 12), (1, 5, 7), (1, 1), (1, 500))
        for scale, beta in ((0.0003, 1.0), (0.00001, 1.0), (0.01, 0.5), (3.0, 1.0), (100.0, 1.0))
    ]
    check_kernel(graphs, kernel=KERNEL.name)


def test_deep_rows_are_refused() -> None:
    board = load_board("host")
    for depth, fits in ((4095, True), (4096, False)):
        x = int16_type((1, depth))
        graph = one_node_graph("softmax", [x], {"beta": 1.0}, int16_type((1, depth), 1 / 32768))
        assert (KERNEL.reject(graph.nodes[0], graph, board) is None) == fits
