"""transpose_conv_dsp equals the reference: on this computer through its twin, and on emulated cores."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from graphs import int8_type, one_node_graph
from harness import BUILDS, check_kernel, check_on_board, leave_out
from test_transpose_conv_portable import random_transpose_conv

from mcugen.access import Direction
from mcugen.boards import load_board
from mcugen.ir import DType, Graph, Node, Quant, Tensor, TensorType
from mcugen.kernels import KERNELS
from mcugen.kernels.transpose_conv_dsp import layout, part_weights, sums
from mcugen.ops import OPS

KERNEL = KERNELS["transpose_conv_dsp"]
BOARD = "cortex-m4"
CORES = ("cortex-m4", "cortex-m7", "cortex-m33")
PLAIN = (("gcc", ("-O2",)),)  # without sanitizers for many layers


@pytest.fixture(autouse=True)
def no_portable_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers are for the kernel, whatever it costs."""
    leave_out(monkeypatch, ["transpose_conv_portable"])


def layer(
    rng: np.random.Generator,
    x: tuple[int, int, int],
    channels: int,
    kernel: tuple[int, int],
    strides: tuple[int, int] = (2, 2),
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    groups: int = 1,
    shifts: tuple[int, int] = (6, 11),
    weights: tuple[int, int] = (-127, 127),
    clamp: tuple[float, float] = (0.0, np.inf),
    zero_point: int = -128,
) -> Graph:
    """A transposed convolution as networks have them, with a fused ReLU unless said otherwise: right shifts within
    `shifts`, weights within `weights`."""
    attrs = {"strides": strides, "pads": pads, "groups": groups, "clamp": clamp}
    shape = (channels, *kernel, x[2] // groups)
    xt = Tensor("x", int8_type((1, *x), 0.05, int(rng.integers(-128, 128))))
    steps = 2.0 ** (-rng.uniform(*shifts, channels)) * 0.3 / 0.05
    quant = Quant(tuple(float(np.float32(s)) for s in steps), (0,) * channels, 0)
    w = rng.integers(weights[0], weights[1], shape, endpoint=True).astype(np.int8)
    wt = Tensor("w", TensorType(shape, DType.INT8, quant), w)
    b = rng.integers(-(2**14), 2**14, channels).astype(np.int32)
    bt = Tensor("b", TensorType(b.shape, DType.INT32), b)
    (y,) = OPS["transpose_conv"].infer(
        Node("y", "transpose_conv", (), (), attrs), [xt.type, wt.type, bt.type]
    )
    return one_node_graph("transpose_conv", [xt, wt, bt], attrs, int8_type(y.shape, 0.3, zero_point))


def way(graph: Graph) -> str:
    node = graph.nodes[0]
    return sums(node, graph, part_weights(node, graph, layout(node, graph)))


def any_layer(rng: np.random.Generator) -> Graph:
    """Any shape, stride, padding, scale of usual size; all three ways of computing sums."""
    groups = int(rng.choice([1, 1, 1, 2, 3]))
    ci, co = (groups * int(v) for v in rng.integers(1, 12, 2))
    kh, kw, sh, sw, h, w = (int(v) for v in rng.integers(1, [6, 6, 5, 5, 6, 9]))
    top, left = int(rng.integers(0, kh)), int(rng.integers(0, kw))
    bottom = min(int(rng.integers(-3, kh)), (h - 1) * sh + kh - top - 1)
    right = min(int(rng.integers(-3, kw)), (w - 1) * sw + kw - left - 1)
    usual = {"shifts": (6, 11), "zero_point": -128} if rng.random() < 0.5 else {}
    wild = {"shifts": (-8, 31) if rng.random() < 0.3 else (1, 12), "zero_point": int(rng.integers(-128, 128))}
    clamp = [(0.0, np.inf), (-np.inf, np.inf), (0.0, 6.0)][int(rng.integers(0, 3))]
    weights = [(-127, 127), (-128, 127), (-128, -128)][int(rng.choice([0, 0, 0, 1, 2]))]
    pads = (top, left, bottom, right)
    return layer(
        rng, (h, w, ci), co, (kh, kw), (sh, sw), pads, groups, weights=weights, clamp=clamp, **(usual or wild)
    )


def special(rng: np.random.Generator) -> list[Graph]:
    """What decoders have, one-dimensional layers, kernels that are smaller than the stride, few channels, rows and
    columns that no input reaches, edges of the conditions."""
    raw = {"zero_point": 3, "clamp": (-np.inf, np.inf)}
    return [
        layer(rng, (5, 6, 16), 12, (3, 3), pads=(0, 0, 1, 1)),
        layer(rng, (4, 5, 8), 8, (4, 4), pads=(1, 1, 1, 1)),
        layer(rng, (4, 5, 8), 8, (4, 4), pads=(1, 1, 1, 1), **raw),
        layer(rng, (3, 5, 8), 6, (2, 2)),
        layer(rng, (3, 5, 10), 3, (2, 2)),
        layer(rng, (3, 5, 10), 3, (2, 2), pads=(0, 0, 0, 1), **raw),
        layer(rng, (6, 5, 16), 1, (4, 4), pads=(1, 1, 1, 1), **raw),
        layer(rng, (6, 5, 9), 3, (3, 3), pads=(1, 1, 0, 0)),
        layer(rng, (4, 3, 5), 7, (2, 1), (4, 3)),
        layer(rng, (4, 3, 5), 2, (1, 2), (2, 4), pads=(0, 0, -3, -4)),
        layer(rng, (5, 4, 3), 4, (5, 5), (3, 3), pads=(2, 2, 1, 2)),
        layer(rng, (5, 4, 12), 4, (3, 3), (1, 1), pads=(1, 1, 1, 1)),
        layer(rng, (1, 1, 20), 8, (4, 4), (1, 1)),
        layer(rng, (14, 1, 6), 5, (4, 1), (2, 1), pads=(1, 0, 1, 0)),
        layer(rng, (14, 1, 6), 5, (4, 1), (2, 1), pads=(1, 0, 1, 0), **raw),
        layer(rng, (9, 1, 5), 3, (8, 1), (4, 1), pads=(2, 0, 2, 0)),
        layer(rng, (9, 1, 6), 4, (3, 1), (2, 1), groups=2),
        layer(rng, (4, 4, 12), 9, (4, 4), pads=(1, 1, 1, 1), groups=3),
        layer(rng, (4, 4, 4), 20, (3, 3), groups=4, **raw),
        layer(rng, (4, 4, 4), 4, (4, 4), pads=(1, 1, 1, 1), groups=4),
        layer(rng, (4, 4, 6), 8, (3, 3), weights=(-128, 127)),
        layer(rng, (4, 4, 6), 3, (2, 2), weights=(-128, 127)),
        layer(rng, (4, 4, 40), 8, (3, 3), weights=(127, 127)),
        layer(rng, (4, 4, 12), 8, (3, 3), shifts=(-8, 3)),
        layer(rng, (4, 4, 12), 8, (3, 3), shifts=(1, 31)),
        layer(rng, (4, 4, 12), 9, (3, 3), shifts=(-8, 31), groups=3),
    ]


def test_random_layers() -> None:
    rng = np.random.default_rng(1)
    graphs = [any_layer(rng) for _ in range(30)]
    assert {way(g) for g in graphs} == {"affine", "raw", "plain"}
    check_kernel(graphs, 4, board=BOARD, builds=PLAIN, kernel="transpose_conv_dsp", apart=True)


def test_any_scale() -> None:
    rng = np.random.default_rng(2)
    check_kernel(
        [random_transpose_conv(rng) for _ in range(20)],
        4,
        board=BOARD,
        builds=PLAIN,
        kernel="transpose_conv_dsp",
        apart=True,
    )


def test_special_shapes_with_sanitizers() -> None:
    graphs = special(np.random.default_rng(3))
    check_kernel(graphs, 4, board=BOARD, builds=BUILDS[2:], kernel="transpose_conv_dsp", apart=True)


@pytest.mark.slow
def test_more_of_all_with_sanitizers() -> None:
    rng = np.random.default_rng(4)
    graphs = [make(rng) for make in (any_layer, random_transpose_conv) for _ in range(20)]
    check_kernel(graphs, board=BOARD, kernel="transpose_conv_dsp", apart=True)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_all_kernels_strides_and_pads(seed: int) -> None:
    """Every kernel up to 5 with every stride up to 4 along one axis; the other axis at random."""
    rng = np.random.default_rng((5, seed))
    graphs = []
    for kernel, stride in product(range(1, 6), range(1, 5)):
        other, step, pad = (int(v) for v in rng.integers(1, [4, 4, 3]))
        before, after = int(rng.integers(0, kernel)), int(rng.integers(-2, 2))
        shapes = ((other, kernel), (step, stride), (0, before, -pad, after))
        graphs.append(layer(rng, (3, int(rng.integers(5, 9)), 5), 6, *shapes))
    check_kernel(graphs, 3, board=BOARD, builds=PLAIN, kernel="transpose_conv_dsp", apart=True)


@pytest.mark.slow
@pytest.mark.parametrize("core", CORES)
def test_on_board(core: str) -> None:
    """The instructions, too."""
    rng = np.random.default_rng(6)
    check_on_board([*special(rng), *(any_layer(rng) for _ in range(6))], core)


def test_over_the_input() -> None:
    """Outputs that lie over the input as far as the access allows; in either direction."""
    rng = np.random.default_rng(7)
    graphs = [
        layer(rng, (7, 6, 24), 3, (3, 3), (1, 2), pads=(1, 1, 1, 1)),
        layer(rng, (5, 6, 4), 12, (4, 4), pads=(1, 1, 1, 1)),
        layer(rng, (5, 6, 32), 8, (2, 2)),
        layer(rng, (40, 1, 5), 9, (4, 1), (2, 1), pads=(1, 0, 1, 0)),
        layer(rng, (40, 1, 24), 6, (3, 1), (2, 1)),
        layer(rng, (12, 1, 24), 6, (3, 1), (2, 1), groups=2),
    ]
    for graph in graphs:
        check_kernel(graph, 4, board=BOARD, builds=PLAIN, kernel="transpose_conv_dsp")


def test_phases_without_taps_are_the_bias() -> None:
    """A kernel of one tap and a stride of 3: eight of nine outputs."""
    graph = layer(np.random.default_rng(8), (3, 3, 8), 4, (1, 1), (3, 3), (0, 0, -2, -2))
    plan = layout(graph.nodes[0], graph)
    assert sum(rows * plan.pixel(p).taps for rows in plan.row_taps for p in range(3)) == 1
    check_kernel(graph, 4, board=BOARD, builds=PLAIN, kernel="transpose_conv_dsp")


def test_neighbouring_phases_are_one_product() -> None:
    """Of a kernel that is as large as the stride they read the same inputs; of one output channel, nearly."""
    rng = np.random.default_rng(9)
    counts = {
        "same inputs": layer(rng, (4, 4, 16), 16, (2, 2)),
        "one channel": layer(rng, (4, 4, 16), 1, (3, 3), pads=(0, 0, 1, 1)),
        "shifted inputs": layer(rng, (4, 4, 16), 16, (4, 4), pads=(1, 1, 1, 1)),
        "odd row": layer(rng, (4, 4, 16), 16, (2, 2), pads=(0, 0, 0, 1)),
    }
    found = {name: len(layout(g.nodes[0], g).parts) for name, g in counts.items()}
    assert found == {"same inputs": 1, "one channel": 1, "shifted inputs": 2, "odd row": 2}


def test_conditions_decide() -> None:
    rng = np.random.default_rng(10)
    shape, kernel = (3, 3, 64), (3, 3)
    ways = {
        "relu": layer(rng, shape, 8, kernel),
        "signed": layer(rng, shape, 8, kernel, zero_point=0, clamp=(-np.inf, np.inf)),
        "left shift": layer(rng, shape, 8, kernel, shifts=(-2, -1)),
        "-128 beside a negative weight": layer(rng, shape, 8, kernel, weights=(-128, -128)),
        "sums beyond 2^23": layer(rng, (3, 3, 512), 8, kernel, weights=(127, 127)),
    }
    found = {name: way(g) for name, g in ways.items()}
    assert found == {name: {"relu": "affine", "signed": "raw"}.get(name, "plain") for name in ways}


def test_ranges_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row by row and whole give the same: a plan may run any layer of two dimensions from the last row to the first."""
    rng = np.random.default_rng(11)
    graph = layer(rng, (5, 6, 4), 12, (4, 4), pads=(1, 1, 1, 1))
    (access, *_) = KERNEL.access(graph.nodes[0], graph)
    assert access is not None
    assert access.distance(Direction.DESCENDING) is not None
    monkeypatch.setattr(
        type(KERNEL), "access", lambda *_: (replace(access, directions=(Direction.DESCENDING,)), None, None)
    )
    check_kernel(graph, 4, board=BOARD, builds=PLAIN, kernel="transpose_conv_dsp")


def test_rejects_what_int32_does_not_hold() -> None:
    graph = layer(np.random.default_rng(12), (3, 3, 4), 4, (3, 3))
    assert KERNEL.reject(graph.nodes[0], graph, load_board(BOARD)) is None
    graph.tensors["b"].data[:] = (1 << 31) - 1  # type: ignore[index]
    assert "int32" in (KERNEL.reject(graph.nodes[0], graph, load_board(BOARD)) or "")
