"""add_dsp equals the reference over shapes, broadcasting, constants, scales and clamps, on hosts and emulated cores."""

from __future__ import annotations

import numpy as np
import pytest

from mcugen.boards import load_board
from mcugen.ir import Graph
from mcugen.kernels import KERNELS
from mcugen.select import option
from tests.graphs import int8_type, one_node_graph
from tests.kernels.harness import BUILDS, check_kernel, check_on_board
from tests.kernels.test_add_linear import all_pairs
from tests.kernels.test_add_portable import random_binary

CORES = [
    "cortex-m4",
    *(pytest.param(core, marks=pytest.mark.slow) for core in ("cortex-m7", "cortex-m33", "cortex-m55")),
]
SHAPES = [
    ((1, 7, 5, 3), (1, 7, 5, 3)),
    ((1, 7, 5, 6), (1, 1, 1, 6)),
    ((1, 1, 5, 4), (1, 7, 5, 4)),
    ((1, 2, 1, 3, 1, 9), (1, 1, 4, 1, 5, 9)),
    ((1, 4), (1, 4)),
    ((1, 3, 3, 8), (1, 1, 3, 8)),
    ((1, 6, 7), (1, 6, 7)),
]


def dsp_graphs(op: str, kernel: str, rng: np.random.Generator, each: int = 2) -> list[Graph]:
    """Random nodes of shapes that suit the DSP extension, those that the kernel takes."""
    board = load_board("cortex-m4")
    graphs = [random_binary(op, shapes, rng, 127) for shapes in SHAPES for _ in range(each)]
    taken = [g for g in graphs if KERNELS[kernel].reject(g.nodes[0], g, board) is None]
    assert len(taken) >= len(graphs) / 2
    return taken


@pytest.mark.parametrize("op", ["add", "sub"])
def test_random_sums(op: str, rng_seed: int) -> None:
    graphs = dsp_graphs(op, "add_dsp", np.random.default_rng(rng_seed))
    check_kernel(graphs, 24, board="cortex-m4", builds=BUILDS[1:], kernel="add_dsp")


def test_every_pair_of_bytes_under_usual_scales() -> None:
    """A residual sum with ReLU, and one with a clamp inside of the type's range."""
    a, b = int8_type((1, 256), 0.0313, -128), int8_type((1, 256), 0.0271, 3)
    for scale, zero, clamp in ((0.0392, -128, (0.0, np.inf)), (0.05, 7, (-1.0, 3.0))):
        graph = one_node_graph("add", [a, b], {"clamp": clamp}, int8_type((1, 256), scale, zero))
        check_kernel(graph, all_pairs(), board="cortex-m4", builds=(("gcc", ("-O3",)),), kernel="add_dsp")


@pytest.mark.parametrize("core", CORES)
def test_emulated_cores(core: str) -> None:
    rng = np.random.default_rng(1)
    check_on_board([g for op in ("add", "sub") for g in dsp_graphs(op, "add_dsp", rng, 1)], core)


def test_is_chosen_where_both_operands_go_on_byte_by_byte() -> None:
    def chosen(a: tuple[int, ...], b: tuple[int, ...], core: str = "cortex-m4") -> str:
        y = int8_type(np.broadcast_shapes(a, b), 1.5)
        graph = one_node_graph("add", [int8_type(a), int8_type(b)], {}, y)
        board = load_board(core)
        able = option(graph.nodes[0], graph, board).able
        return min(able, key=lambda kernel: kernel.cycles(graph.nodes[0], graph, board)).name

    assert chosen((1, 4, 5), (1, 4, 5)) == chosen((1, 4, 5), (1, 1, 5)) == "add_dsp"
    assert chosen((1, 4, 3), (1, 1, 3)) == chosen((1, 4, 5), (1, 4, 1)) == "add_linear"
    assert chosen((1, 4, 5), (1, 4, 5), "cortex-m3") == "add_linear"
