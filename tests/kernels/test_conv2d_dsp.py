"""conv2d_dsp equals the reference: on this computer through its twin, and on emulated cores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from graphs import int8_type, one_node_graph
from harness import BUILDS, check_kernel, check_on_board, leave_out
from random_conv import random_conv, random_dense

from mcugen.access import Direction
from mcugen.ir import DType, Graph, Node, Quant, Tensor, TensorType
from mcugen.kernels import KERNELS
from mcugen.kernels.conv2d_dsp import merged_groups, sums
from mcugen.kernels.kernel import Tables
from mcugen.ops import OPS

KERNEL = KERNELS["conv2d_dsp"]
BOARD = "cortex-m4"
CORES = ("cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55")


def conv(
    rng: np.random.Generator,
    x: tuple[int, int, int],
    channels: int,
    kernel: tuple[int, int] = (1, 1),
    shifts: tuple[int, int] = (1, 12),
    weights: tuple[int, int] = (-127, 127),
    zero_point: int | None = None,
    **attrs: object,
) -> Graph:
    """A convolution as networks have them: right shifts within `shifts`, weights within `weights`; an output with any
    zero point, or this."""
    given = {
        "strides": (1, 1),
        "dilations": (1, 1),
        "pads": (0, 0, 0, 0),
        "groups": 1,
        "clamp": (-np.inf, np.inf),
    }
    full = {**given, **attrs}
    groups = full["groups"]
    assert isinstance(groups, int)
    shape = (channels, *kernel, x[2] // groups)
    first = bool(full.get("channels_first"))
    xs = (1, x[2], *x[:2]) if first else (1, *x)
    xt = Tensor("x", int8_type(xs, 0.05, int(rng.integers(-128, 128))))
    steps = 2.0 ** (-rng.uniform(shifts[0], shifts[1], channels)) * 0.3 / 0.05
    quant = Quant(tuple(float(np.float32(s)) for s in steps), (0,) * channels, 0)
    w = rng.integers(weights[0], weights[1], shape, endpoint=True).astype(np.int8)
    b = rng.integers(-(2**14), 2**14, channels).astype(np.int32)
    wt = Tensor("w", TensorType(shape, DType.INT8, quant), w)
    bt = Tensor("b", TensorType(b.shape, DType.INT32), b)
    (y,) = OPS["conv2d"].infer(Node("y", "conv2d", (), (), full), [xt.type, wt.type, bt.type])
    y_zero = int(rng.integers(-128, 128)) if zero_point is None else zero_point
    return one_node_graph("conv2d", [xt, wt, bt], full, int8_type(y.shape, 0.3, y_zero))


def relu(
    rng: np.random.Generator,
    x: tuple[int, int, int],
    channels: int,
    kernel: tuple[int, int] = (1, 1),
    **attrs: object,
) -> Graph:
    """A convolution with a fused ReLU, whose outputs lie on one side of their zero point."""
    clamp = (0.0, np.inf)
    return conv(rng, x, channels, kernel, shifts=(6, 11), zero_point=-128, clamp=clamp, **attrs)  # type: ignore[arg-type]


def pointwise(rng: np.random.Generator) -> Graph:
    h, w, ci, co = (int(v) for v in rng.integers(1, [6, 6, 40, 40]))
    return conv(rng, (h, w, ci), co, clamp=(0.0, 6.0) if rng.random() < 0.3 else (-np.inf, np.inf))


def windowed(rng: np.random.Generator) -> Graph:
    groups = int(rng.choice([1, 1, 1, 2, 3]))
    ci, co = (groups * int(v) for v in rng.integers(1, 12, 2))
    kh, kw, sh, sw, dh, dw = (int(v) for v in rng.integers(1, [6, 6, 4, 4, 3, 3]))
    pads = tuple(int(v) for v in rng.integers(0, 4, 4))
    h, w = (kh - 1) * dh + int(rng.integers(1, 7)), (kw - 1) * dw + int(rng.integers(1, 7))
    return conv(rng, (h, w, ci), co, (kh, kw), strides=(sh, sw), dilations=(dh, dw), pads=pads, groups=groups)


def special(rng: np.random.Generator) -> list[Graph]:
    """First layers, one-dimensional kernels, dilations, planes, edges of the conditions."""
    same = {"pads": (1, 1, 1, 1)}
    few: list[Graph] = [
        conv(rng, (9, 7, 1), 8, (5, 4), strides=(2, 2), pads=(2, 1, 2, 2)),
        conv(rng, (8, 8, 3), 8, (3, 3), strides=(2, 2), pads=(0, 0, 1, 1)),
        conv(rng, (8, 9, 3), 16, (3, 3), **same),
        conv(rng, (11, 12, 3), 5, (7, 7), strides=(2, 2), pads=(3, 3, 3, 3)),
        conv(rng, (12, 1, 9), 7, (5, 1), dilations=(2, 1)),
        conv(rng, (1, 12, 10), 3, (1, 3), strides=(1, 2), pads=(0, 1, 0, 1)),
        conv(rng, (12, 4, 2), 6, (3, 4), pads=(1, 0, 1, 0)),
        conv(rng, (5, 5, 16), 2, (3, 3), **same),
        conv(rng, (5, 6, 8), 1, (1, 1), strides=(2, 2)),
        conv(rng, (6, 5, 3), 6, (3, 3), channels_first=True, **same),
        conv(rng, (5, 4, 20), 12, (1, 1), weights=(-128, 127)),
        conv(rng, (5, 4, 20), 12, (3, 3), weights=(-128, 127), **same),
        conv(rng, (4, 4, 40), 8, (3, 3), weights=(127, 127), **same),
        conv(rng, (4, 4, 58), 9, (3, 3), weights=(-127, -127), shifts=(10, 14), **same),
        conv(rng, (4, 4, 12), 8, (1, 1), shifts=(-8, 3)),
        conv(rng, (4, 4, 12), 8, (1, 1), shifts=(1, 31)),
        conv(rng, (4, 4, 12), 8, (2, 2), shifts=(0, 1)),
        conv(rng, (3, 3, 4), 4, (7, 7), pads=(4, 4, 4, 4)),
        *(
            conv(rng, (4, 4, 2 * g), o * g, (3, 2), groups=g, **same)
            for g, o in ((2, 1), (3, 1), (4, 2), (6, 1), (8, 1))
        ),
    ]
    few += relus(rng)
    return few


def relus(rng: np.random.Generator) -> list[Graph]:
    same = {"pads": (1, 1, 1, 1)}
    return [
        relu(rng, (5, 5, 16), 12),
        relu(rng, (3, 5, 13), 7),
        relu(rng, (4, 4, 9), 3),
        relu(rng, (6, 5, 3), 9, (3, 3), strides=(2, 2), **same),
        relu(rng, (5, 6, 8), 5, (3, 3), **same),
        relu(rng, (4, 5, 12), 9, (3, 1), groups=3),
        relu(rng, (4, 5, 12), 15, (2, 2), groups=3, **same),
        relu(rng, (6, 5, 3), 6, (3, 3), channels_first=True, **same),
    ]


# Without sanitizers for many layers; they look at few.
PLAIN = (("gcc", ("-O2",)),)


def test_pointwise() -> None:
    rng = np.random.default_rng(1)
    check_kernel(
        [pointwise(rng) for _ in range(16)], 4, board=BOARD, builds=PLAIN, kernel="conv2d_dsp", apart=True
    )


def test_windows() -> None:
    rng = np.random.default_rng(2)
    check_kernel(
        [windowed(rng) for _ in range(30)], 4, board=BOARD, builds=PLAIN, kernel="conv2d_dsp", apart=True
    )


def test_any_scale() -> None:
    rng = np.random.default_rng(4)
    graphs = [random_conv(rng) for _ in range(12)]
    graphs += [random_dense(rng, lead) for lead in [(1,), (5,), (1, 4), (2, 3)] for _ in range(3)]
    for begin in range(0, len(graphs), 6):  # many buffers with gaps between them take the planner long
        check_kernel(graphs[begin : begin + 6], 4, board=BOARD, builds=PLAIN, kernel="conv2d_dsp", apart=True)


def test_special_shapes_with_sanitizers() -> None:
    check_kernel(
        special(np.random.default_rng(3)), 4, board=BOARD, builds=BUILDS[2:], kernel="conv2d_dsp", apart=True
    )


@pytest.mark.slow
def test_more_of_all_with_sanitizers() -> None:
    rng = np.random.default_rng(5)
    graphs = [make(rng) for make in (pointwise, windowed, random_conv) for _ in range(12)]
    check_kernel(graphs, board=BOARD, kernel="conv2d_dsp", apart=True)


@pytest.mark.slow
@pytest.mark.parametrize("core", CORES)
def test_on_board(core: str) -> None:
    """The instructions, too: special layers and random ones, -128 and 127 among the inputs."""
    rng = np.random.default_rng(6)
    edges = [at_the_edge((2, 3, 259), 892), at_the_edge((1, 1, 259), 892)]
    check_on_board([*special(rng), *edges, pointwise(rng), windowed(rng), windowed(rng)], core)


def at_the_edge(x: tuple[int, int, int], bias: int) -> Graph:
    """A 1x1 convolution of inputs from 0 to 255 above their zero point, all weights 127 or -127 by channel: its sums
    come to +-(8,387,715 + bias)."""
    channels, sign = 8, np.where(np.arange(8) % 3 == 1, -1, 1)
    graph = conv(np.random.default_rng(11), x, channels, shifts=(10, 15))
    weights = np.broadcast_to(127 * sign[:, None, None, None], (channels, 1, 1, x[2])).astype(np.int8)
    constants = {"w": weights, "b": (bias * sign).astype(np.int32)}
    tensors = {n: replace(graph.tensors[n], data=data) for n, data in constants.items()}
    tensors["x"] = replace(graph.tensors["x"], type=int8_type((1, *x), 0.05, -128))
    return replace(graph, tensors={**graph.tensors, **tensors})


@pytest.mark.parametrize("bias", [892, 893])
def test_sums_at_the_edge(bias: int) -> None:
    """2^23 - 1 can be computed with two channels in a word, 2^23 cannot."""
    dense = "fully_connected_dsp" if bias == 892 else "fully_connected_rows_dsp"
    for x, kernel in (((2, 3, 259), "conv2d_dsp"), ((1, 1, 259), dense)):
        graph = at_the_edge(x, bias)
        assert sums(graph.nodes[0], graph) == ("raw" if bias == 892 else "plain")
        check_kernel(graph, 4, board=BOARD, builds=PLAIN, kernel=kernel)


@pytest.mark.parametrize(
    ("groups", "group_out", "merged"),
    [(8, 1, 4), (6, 1, 3), (5, 1, 1), (4, 2, 2), (3, 2, 1), (4, 3, 1), (4, 4, 1)],
)
def test_groups_of_few_outputs_are_merged(groups: int, group_out: int, merged: int) -> None:
    """Where the outputs of all together are no more than are computed anyway."""
    assert merged_groups(groups, group_out) == merged


def test_conditions_decide() -> None:
    rng = np.random.default_rng(7)
    shape = (4, 4, 64)
    raw = {
        "usual": conv(rng, shape, 8),
        "left shift": conv(rng, shape, 8, shifts=(-2, -1)),
        "-128 beside a negative weight": conv(rng, shape, 8, weights=(-128, -128)),
        "sums beyond 2^23": conv(rng, (4, 4, 1024), 8, weights=(127, 127)),
    }
    ways = {name: sums(g.nodes[0], g) for name, g in raw.items()}
    assert ways == {name: "raw" if name == "usual" else "plain" for name in raw}


def test_most_layers_with_relu_are_requantized_by_one_multiplication() -> None:
    graphs = [g for seed in range(4) for g in relus(np.random.default_rng(seed))]
    assert sum(sums(g.nodes[0], g) == "affine" for g in graphs) > len(graphs) * 3 // 4


def test_over_the_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outputs that lie over the input as far as the access allows."""
    leave_out(monkeypatch, [name for name in KERNELS if "winograd" in name or "direct" in name])
    rng = np.random.default_rng(10)
    shapes = [(8, 8), (12, 5), (5, 12)]
    graphs = [conv(rng, (7, 6, i), o, (3, 3), pads=(1, 1, 1, 1)) for i, o in shapes]
    graphs += [conv(rng, (7, 6, i), o) for i, o in shapes]
    # Of two pixels the outputs of one group are written before the inputs of the next one are read.
    graphs += [conv(rng, (5, 7, i), o, groups=4, strides=(2, 1)) for i, o in ((8, 8), (12, 24), (24, 12))]
    graphs += [conv(rng, (7, 6, 8), 8, (3, 2), pads=(1, 0, 1, 1), strides=(1, 2), groups=2)]
    for graph in graphs:
        check_kernel(graph, 4, board=BOARD, builds=PLAIN, kernel="conv2d_dsp")


def test_pixels_in_place() -> None:
    """A 1x1 convolution that keeps its channels may write over its input."""
    graph = conv(np.random.default_rng(8), (5, 5, 8), 8)
    (access, *_) = KERNEL.access(graph.nodes[0], graph)
    assert access is not None and access.distance(Direction.ASCENDING) == 0


def test_one_row_at_a_time() -> None:
    """Ranges of output rows, whatever they hold, give the whole."""
    rng = np.random.default_rng(9)
    graph = conv(rng, (5, 7, 3), 6, (3, 3), pads=(1, 1, 1, 1))
    (call,) = KERNEL.calls(graph.nodes[0], graph, Tables(), "l")
    assert call.rows == 5 and call.fields["row_pixels"] == 7
