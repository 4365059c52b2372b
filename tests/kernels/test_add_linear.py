"""add_linear equals the reference over shapes, broadcasting, constants, scales and clamps."""

from __future__ import annotations

import numpy as np
import pytest

from mcugen.boards import load_board
from mcugen.ir import Graph
from mcugen.kernels import KERNELS
from tests.graphs import int8_type, one_node_graph
from tests.kernels.harness import check_kernel
from tests.kernels.test_add_portable import SHAPES, random_binary

KERNEL = KERNELS["add_linear"]


def served(op: str, kernel: str, rng: np.random.Generator, each: int = 2) -> list[Graph]:
    """Random nodes of many shapes that the kernel takes."""
    board = load_board("host")
    graphs = [random_binary(op, shapes, rng) for shapes in SHAPES for _ in range(each)]
    taken = [g for g in graphs if KERNELS[kernel].reject(g.nodes[0], g, board) is None]
    assert len(taken) > len(graphs) / 2
    return taken


@pytest.mark.parametrize("op", ["add", "sub"])
def test_random_sums(op: str, rng_seed: int) -> None:
    check_kernel(served(op, "add_linear", np.random.default_rng(rng_seed)), 24, kernel="add_linear")


def all_pairs() -> list[np.ndarray]:
    """Both operands of 256 samples of 256 elements, which are all pairs of bytes."""
    every = np.arange(-128, 128, dtype=np.int8)
    first = np.repeat(every[:, np.newaxis], 256, axis=1)
    return [first[:, np.newaxis], first.T[:, np.newaxis]]


def test_every_pair_of_bytes_under_usual_scales() -> None:
    """A residual sum with ReLU, and one with a clamp inside of the type's range."""
    a, b = int8_type((1, 256), 0.0313, -128), int8_type((1, 256), 0.0271, 3)
    for scale, zero, clamp in ((0.0392, -128, (0.0, np.inf)), (0.05, 7, (-1.0, 3.0))):
        graph = one_node_graph("add", [a, b], {"clamp": clamp}, int8_type((1, 256), scale, zero))
        check_kernel(graph, all_pairs(), builds=(("gcc", ("-O3",)),), kernel="add_linear")


def test_names_tell_functions_apart() -> None:
    def name(a: tuple[int, ...], b: tuple[int, ...], clamp: tuple[float, float]) -> str:
        y = int8_type(np.broadcast_shapes(a, b), 1.5)
        graph = one_node_graph("add", [int8_type(a), int8_type(b)], {"clamp": clamp}, y)
        return KERNEL.variant(graph.nodes[0], graph)[0]

    everything = (-np.inf, np.inf)
    assert name((1, 4, 2), (1, 4, 2), everything) == "add_linear"
    assert name((1, 4, 2), (1, 1, 2), everything) == "add_linear_broadcast"
    assert name((1, 4, 2), (1, 1, 2), (0.0, 6.0)) == "add_linear_broadcast_clamp"


def test_rejects_what_no_short_form_gives() -> None:
    """Thirds are rounded before they are added: their sums land on both sides of a half."""
    x = [int8_type((1, 4), 0.1, -66), int8_type((1, 4), 0.3, -91)]
    graph = one_node_graph("add", x, {}, int8_type((1, 4), 0.2, -63))
    assert "exact" in (KERNEL.reject(graph.nodes[0], graph, load_board("host")) or "")
