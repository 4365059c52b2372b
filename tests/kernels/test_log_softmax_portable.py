"""log_softmax_portable equals the reference over shapes, scales and extreme inputs."""

from __future__ import annotations

from mcugen.access import Direction
from mcugen.boards import load_board
from mcugen.kernels import KERNELS
from tests.graphs import int8_type, one_node_graph
from tests.kernels.harness import check_kernel


def test_shapes_and_scales() -> None:
    graphs = [
        one_node_graph("log_softmax", [int8_type(s, f, z)], {}, int8_type(s, 1 / 16, 127))
        for s in ((1, 12), (3, 2), (1, 5, 4, 7), (1, 1), (1, 700), (1, 4095))
        for f, z in ((1e-9, 0), (1e-3, -128), (0.02, 0), (0.1, 5), (0.77, 127), (50.0, 1))
    ]
    check_kernel(graphs, kernel="log_softmax_portable")


def test_works_in_place_and_rejects_long_rows() -> None:
    board, kernel = load_board("host"), KERNELS["log_softmax_portable"]
    for depth, fits in ((4095, True), (4096, False)):
        x = int8_type((1, depth), 0.1)
        graph = one_node_graph("log_softmax", [x], {}, x)
        assert (kernel.reject(graph.nodes[0], graph, board) is None) == fits
        (access,) = kernel.access(graph.nodes[0], graph)
        assert access is not None and access.distance(Direction.ASCENDING) == 0
