"""transpose_dsp equals the reference: on this computer through its twin, and on emulated cores."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from graphs import int8_type, one_node_graph
from harness import BUILDS, check_kernel, check_on_board, leave_out

from mcugen.access import Direction
from mcugen.boards import load_board
from mcugen.ir import Graph
from mcugen.kernels import KERNELS

KERNEL = KERNELS["transpose_dsp"]
BOARD = "cortex-m4"
CORES = ("cortex-m4", "cortex-m7", "cortex-m33")


def transpose(shape: tuple[int, ...], perm: tuple[int, ...]) -> Graph:
    turned = int8_type([shape[p] for p in perm], 0.1, -9)
    return one_node_graph("transpose", [int8_type(shape, 0.1, -9)], {"perm": perm}, turned)


def able(graph: Graph) -> bool:
    return KERNEL.reject(graph.nodes[0], graph, load_board(BOARD)) is None


def all_sizes() -> list[Graph]:
    """Matrices of all rests of four, short ones among them; several matrices; axes around them."""
    sizes = [(rows, columns) for rows in range(2, 10) for columns in range(2, 10)]
    graphs = [transpose((1, *size), (0, 2, 1)) for size in sizes]
    graphs += [transpose((1, 3, *size), (0, 1, 3, 2)) for size in sizes[::3]]
    graphs += [transpose((1, *size, 3), (0, 3, 2, 1)) for size in sizes[::5]]
    graphs += [transpose((1, 5, 4, 6), p) for p in permutations(range(4)) if p[0] == 0]
    return [g for g in graphs if able(g)]


@pytest.fixture(autouse=True)
def no_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    leave_out(monkeypatch, ["copy_portable"])


def test_all_sizes_with_sanitizers() -> None:
    graphs = all_sizes()
    assert len(graphs) > 60
    check_kernel(graphs, 3, board=BOARD, builds=BUILDS[2:], kernel="transpose_dsp", apart=True)


@pytest.mark.parametrize("perm", [(0, 2, 3, 1), (0, 3, 1, 2)])
def test_images(perm: tuple[int, ...]) -> None:
    """Channels last and first, over the input as far as the access allows."""
    for channels in (2, 3, 8, 11):
        shape = (1, 7, 9, channels) if perm[1] == 3 else (1, channels, 7, 9)
        check_kernel(transpose(shape, perm), 3, board=BOARD, builds=BUILDS[2:], kernel="transpose_dsp")


@pytest.mark.parametrize("shape", [(1, 3, 7, 9), (1, 4, 3, 6), (1, 3, 9, 2), (1, 2, 2, 11)])
def test_several_matrices(shape: tuple[int, ...]) -> None:
    check_kernel(transpose(shape, (0, 1, 3, 2)), 3, board=BOARD, builds=BUILDS[2:], kernel="transpose_dsp")


def test_an_image_shares_bytes_with_its_transpose() -> None:
    """Of channels last, nearly the last plane: nothing of the input is left when it is written."""
    graph = transpose((1, 7, 9, 8), (0, 3, 1, 2))
    (access,) = KERNEL.access(graph.nodes[0], graph)
    assert access is not None
    distance = access.distance(Direction.ASCENDING)
    assert distance is not None and distance <= 7 * 9 * 8 - 7 * 9


@pytest.mark.slow
@pytest.mark.parametrize("core", CORES)
def test_on_board(core: str) -> None:
    rng = np.random.default_rng(1)
    graphs = all_sizes()
    check_on_board([graphs[i] for i in rng.permutation(len(graphs))[:40]], core)


def test_refuses_what_is_no_matrix() -> None:
    node, board = "is no transpose of matrices", load_board(BOARD)
    whys = {
        ((1, 2, 3, 4, 5), (0, 4, 3, 2, 1)): node,
        ((1, 3, 3), (0, 2, 1)): "fewer than four",
        ((1, 3, 5, 8), (0, 3, 2, 1)): "not neighbours",
        ((1, 8, 3), (0, 2, 1)): "",
    }
    for (shape, perm), why in whys.items():
        graph = transpose(shape, perm)
        assert why in (KERNEL.reject(graph.nodes[0], graph, board) or "")
        assert able(graph) == (not why)
