"""conv2d_direct_dsp equals the reference: on this computer through its twin, and on emulated cores."""

from __future__ import annotations

import numpy as np
import pytest
from harness import BUILDS, check_kernel, check_on_board, leave_out
from test_conv2d_dsp import CORES, conv, relu

from mcugen.boards import load_board
from mcugen.ir import Graph
from mcugen.kernels import KERNELS

NAME, BOARD = "conv2d_direct_dsp", "cortex-m4"
PLAIN = (("gcc", ("-O2",)),)


@pytest.fixture(autouse=True)
def no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only this kernel and the portable one."""
    leave_out(monkeypatch, [name for name in KERNELS if "dsp" in name and name != NAME])


def windowed(rng: np.random.Generator) -> Graph:
    """Any window and padding, channels in fours; where nothing lies outside, sometimes whole rows in fours."""
    ci, co = 4 * int(rng.integers(1, 7)), int(rng.integers(1, 14))
    kh, kw, sh, sw, dh, dw = (int(v) for v in rng.integers(1, [5, 5, 4, 4, 3, 3]))
    pads = tuple(int(v) for v in rng.integers(0, 4, 4)) if rng.random() < 0.7 else (0, 0, 0, 0)
    if pads == (0, 0, 0, 0) and rng.random() < 0.5:
        ci, kw, dw = int(rng.choice([2, 6, 10])), 2, 1
    h, w = (kh - 1) * dh + int(rng.integers(1, 7)), (kw - 1) * dw + int(rng.integers(1, 7))
    make = conv if rng.random() < 0.7 else relu
    return make(rng, (h, w, ci), co, (kh, kw), strides=(sh, sw), dilations=(dh, dw), pads=pads)


def special(rng: np.random.Generator) -> list[Graph]:
    same = {"pads": (1, 1, 1, 1)}
    return [
        conv(rng, (4, 4, 64), 12, (3, 3), **same),
        conv(rng, (5, 5, 16), 2, (3, 3), **same),
        conv(rng, (5, 6, 8), 1, (1, 1), strides=(2, 2)),
        conv(rng, (5, 6, 8), 9, (1, 1), clamp=(0.0, 6.0)),
        conv(rng, (3, 3, 4), 4, (7, 7), pads=(4, 4, 4, 4)),
        conv(rng, (12, 1, 8), 7, (5, 1), dilations=(2, 1), pads=(2, 0, 2, 0)),
        conv(rng, (1, 12, 12), 3, (1, 3), strides=(1, 2), pads=(0, 1, 0, 1)),
        conv(rng, (9, 8, 4), 5, (3, 3), dilations=(2, 2), pads=(2, 2, 2, 2)),
        conv(rng, (7, 6, 2), 6, (3, 2)),
        conv(rng, (6, 1, 6), 6, (2, 1), shifts=(15, 22)),
        conv(rng, (2, 1, 516), 5, shifts=(9, 14), weights=(-127, -120)),
        relu(rng, (5, 6, 8), 5, (3, 3), **same),
    ]


def test_windows() -> None:
    rng = np.random.default_rng(1)
    check_kernel([windowed(rng) for _ in range(30)], 4, board=BOARD, builds=PLAIN, kernel=NAME, apart=True)


def test_special_shapes_with_sanitizers() -> None:
    graphs = special(np.random.default_rng(2))
    board = load_board(BOARD)
    taken = [g for g in graphs if KERNELS[NAME].reject(g.nodes[0], g, board) is None]
    assert len(taken) >= len(graphs) - 1  # random weights may not go two in a word
    check_kernel(graphs, 4, board=BOARD, builds=BUILDS[2:], kernel=NAME, apart=True)


@pytest.mark.parametrize(
    ("why", "graph"),
    [
        ("groups", conv(np.random.default_rng(3), (4, 4, 8), 8, (3, 3), groups=2)),
        ("channels first", conv(np.random.default_rng(3), (4, 4, 8), 8, (3, 3), channels_first=True)),
        ("in fours", conv(np.random.default_rng(3), (4, 4, 6), 8, (3, 2), pads=(0, 1, 0, 0))),
        ("two weights", conv(np.random.default_rng(3), (4, 4, 8), 8, weights=(-128, -128))),
        ("two weights", conv(np.random.default_rng(3), (4, 4, 8), 8, shifts=(-2, -1))),
    ],
)
def test_what_it_refuses(why: str, graph: Graph) -> None:
    assert why in str(KERNELS[NAME].reject(graph.nodes[0], graph, load_board(BOARD)))


def test_over_the_input() -> None:
    """Outputs that lie over the input as far as the access allows."""
    rng = np.random.default_rng(4)
    graphs = [conv(rng, (7, 6, i), o, (3, 3), pads=(1, 1, 1, 1)) for i, o in ((8, 8), (12, 5), (4, 12))]
    graphs += [conv(rng, (7, 5, i), o) for i, o in ((8, 8), (16, 5), (8, 12))]
    graphs += [conv(rng, (9, 9, 8), 16, (2, 3), strides=(2, 2), pads=(0, 1, 1, 0))]
    for graph in graphs:
        check_kernel(graph, 4, board=BOARD, builds=PLAIN, kernel=NAME)


def test_scratch_is_little() -> None:
    graph = conv(np.random.default_rng(5), (8, 8, 64), 64, (3, 3), pads=(1, 1, 1, 1))
    assert KERNELS[NAME].scratch(graph.nodes[0], graph) == 9 * 8 + 64
    assert KERNELS["conv2d_dsp"].scratch(graph.nodes[0], graph) == 4 * 9 * 64 + 2 * 3 * 64


@pytest.mark.slow
def test_more_with_sanitizers() -> None:
    rng = np.random.default_rng(6)
    check_kernel([windowed(rng) for _ in range(36)], board=BOARD, kernel=NAME, apart=True)


@pytest.mark.slow
@pytest.mark.parametrize("core", CORES)
def test_on_board(core: str) -> None:
    """The instructions, too: special layers and random ones, -128 and 127 among the inputs."""
    rng = np.random.default_rng(7)
    check_on_board([*special(rng), *(windowed(rng) for _ in range(8))], core)
