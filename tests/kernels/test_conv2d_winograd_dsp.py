"""conv2d_winograd_dsp equals the reference for every size of tile, and its filters are exact."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from graphs import int8_type, one_node_graph
from harness import BUILDS, check_kernel, check_on_board
from random_conv import random_zero_point, weighted

from mcugen.access import Direction
from mcugen.boards import load_board
from mcugen.ir import Array, DType, Graph, Node, Quant, Tensor, TensorType
from mcugen.kernels import KERNELS
from mcugen.kernels.conv2d_winograd_dsp import _Winograd
from mcugen.kernels.winograd import F2, F4, Filter
from mcugen.ops import OPS

NAMES = (
    "conv2d_winograd_dsp",
    "conv2d_winograd_dsp_2x4",
    "conv2d_winograd_dsp_4x4",
    "conv2d_winograd_dsp_1x4",
)
SHORT = (-9.0, -7.0)  # logarithms of scales whose multipliers shift to the right


@pytest.fixture(params=NAMES)
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> _Winograd:
    """The only kernel that there is to choose."""
    found = KERNELS[request.param]
    monkeypatch.setattr("mcugen.select.KERNELS", {found.name: found})
    assert isinstance(found, _Winograd)
    return found


def convolution(
    kernel: _Winograd,
    rng: np.random.Generator,
    size: tuple[int, int],
    channels: tuple[int, int],
    pads: tuple[int, int, int, int] = (1, 1, 1, 1),
    scales: tuple[float, float] | None = None,
    clamp: tuple[float, float] = (-np.inf, np.inf),
) -> Graph:
    """A convolution with the kernel's window, random weights; `scales`: the range of their logarithms, by default very
    wide. A window of 1x3 stands upright in one column where the height is odd."""
    window = kernel.tile.taps
    if window == (1, 3) and size[0] % 2:
        window, size, pads = (3, 1), (size[0] + size[1], 1), (pads[0], 0, pads[2], 0)
    attrs = {"strides": (1, 1), "dilations": (1, 1), "pads": pads, "groups": 1, "clamp": clamp}
    x = Tensor("x", int8_type((1, *size, channels[0]), 0.05, random_zero_point(rng)))
    weights, bias = weighted(rng, (channels[1], *window, channels[0]))
    if scales is not None:
        narrow = tuple(float(np.float32(s)) for s in 2.0 ** rng.uniform(*scales, channels[1]))
        weights = Tensor(
            "w",
            TensorType(weights.type.shape, DType.INT8, Quant(narrow, (0,) * channels[1], 0)),
            weights.data,
        )
    (y,) = OPS["conv2d"].infer(Node("y", "conv2d", (), (), attrs), [x.type, weights.type, bias.type])
    return one_node_graph(
        "conv2d", [x, weights, bias], attrs, int8_type(y.shape, 0.3, random_zero_point(rng))
    )


# Input channels and how outputs are rescaled: every form, one C function for each line.
VARIANTS: tuple[tuple[int, tuple[float, float] | None, bool], ...] = (
    (4, (-9.0, -7.0), False),  # short
    (7, (-9.0, -7.0), True),  # clamped
    (10, (-5.0, 2.0), False),  # shifted: left by up to 8
    (20, None, True),  # wide: from 31 bits to the right to far to the left
)


def random_convolution(kernel: _Winograd, rng: np.random.Generator, variant: int) -> Graph:
    """Any size, padding and number of output channels."""
    channels, scales, clamped = VARIANTS[variant % len(VARIANTS)]
    h, w = (int(v) for v in rng.integers(3, 14, 2))
    top, left, bottom, right = (int(v) for v in rng.integers(0, 3, 4))
    clamp = (0.0, 6.0) if clamped else (-np.inf, np.inf)
    outputs = int(rng.integers(1, 11))
    return convolution(kernel, rng, (h, w), (channels, outputs), (top, left, bottom, right), scales, clamp)


def worst_weights(graph: Graph, value: int) -> Graph:
    """The same with all weights equal to `value`."""
    weights = graph.tensors["w"]
    data = np.full_like(graph.constant("w"), value)
    return replace(graph, tensors={**graph.tensors, "w": replace(weights, data=data)})


@pytest.mark.parametrize("filter_", [F2, F4])
def test_filters_are_exact(filter_: Filter) -> None:
    inputs, weights, outputs = (
        np.array(m) for m in (filter_.inputs_matrix, filter_.weights_matrix, filter_.outputs_matrix)
    )
    rng = np.random.default_rng(1)
    d, g = rng.integers(-255, 256, (50, filter_.inputs)), rng.integers(-128, 129, (50, 3))
    made = ((g @ weights.T) * (d @ inputs.T)) @ outputs.T
    wanted = [np.correlate(x, w, "valid") for x, w in zip(d, g, strict=True)]
    assert np.array_equal(made, filter_.factor * np.array(wanted))
    # a constant added to the middle product is added to every output
    assert np.all(outputs[:, 1] == 1)


@pytest.mark.parametrize("name", NAMES)
def test_transforms_fit_int16(name: str) -> None:
    """Inputs in 0 .. 255 and weights in -128 .. 127, transformed along both axes."""
    kernel = KERNELS[name]
    assert isinstance(kernel, _Winograd)

    def reach(vertical: Array, horizontal: Array, low: int, high: int) -> tuple[int, int]:
        products = np.einsum("ia,jb->ijab", vertical, horizontal).reshape(
            -1, vertical[0].size * horizontal[0].size
        )
        positive, negative = products.clip(0).sum(axis=1), (-products).clip(0).sum(axis=1)
        return int((positive * low - negative * high).min()), int((positive * high - negative * low).max())

    two = (kernel.tile.vertical, kernel.tile.horizontal)
    least, most = reach(*(np.array(f.inputs_matrix) for f in two), 0, 255)
    assert -(1 << 15) <= least < most < 1 << 15
    least, most = reach(*(np.array(f.weights_matrix) for f in two), -128, 127)
    assert -(1 << 15) <= least < most < 1 << 15


def test_random_convolutions(kernel: _Winograd) -> None:
    rng = np.random.default_rng(2)
    graphs = [random_convolution(kernel, rng, i) for i in range(6)]
    check_kernel(graphs, 4, board="cortex-m4", builds=BUILDS[2:], kernel=kernel.name)


def deep(kernel: _Winograd, rng: np.random.Generator) -> list[Graph]:
    """One and several turns of the inner loop, and the weights that make transforms and sums largest."""
    return [
        convolution(kernel, rng, (5, 9), (60, 5), scales=SHORT),
        convolution(kernel, rng, (8, 8), (16, 16), scales=SHORT),
        worst_weights(convolution(kernel, rng, (6, 7), (16, 4), scales=(-12.0, -11.0)), -128),
        worst_weights(convolution(kernel, rng, (4, 6), (15, 3), scales=(-12.0, -11.0)), 127),
    ]


def test_many_channels_and_extreme_weights(kernel: _Winograd) -> None:
    graphs = deep(kernel, np.random.default_rng(3))
    check_kernel(graphs, 4, board="cortex-m4", builds=BUILDS[1:2], kernel=kernel.name)


@pytest.mark.slow
def test_more_convolutions_and_compilers(kernel: _Winograd) -> None:
    rng = np.random.default_rng(7)
    for _ in range(2):
        graphs = [random_convolution(kernel, rng, i) for i in range(4)]
        check_kernel(
            [*graphs, *deep(kernel, rng)[:2]], 4, board="cortex-m4", builds=BUILDS[:2], kernel=kernel.name
        )


@pytest.mark.slow
@pytest.mark.parametrize("board", ["cortex-m4", "cortex-m7", "cortex-m33"])
def test_on_boards(kernel: _Winograd, board: str) -> None:
    rng = np.random.default_rng(4)
    graphs = [random_convolution(kernel, rng, i) for i in range(4)]
    check_on_board([*graphs, *deep(kernel, rng)], board)


def test_tiles_overlap_their_input(kernel: _Winograd) -> None:
    """Output rows may lie over input rows that no later tile reads; rows that grow go from the last one on."""
    rng = np.random.default_rng(5)
    same = convolution(kernel, rng, (16, 16), (8, 8))
    access = kernel.access(same.nodes[0], same)[0]
    assert access is not None
    assert access.distance(Direction.ASCENDING) == kernel.row_block * 16 * 8 + 8
    grown = convolution(kernel, rng, (16, 16), (8, 16))
    access = kernel.access(grown.nodes[0], grown)[0]
    assert access is not None and access.distance(Direction.DESCENDING) is not None
    odd = convolution(kernel, rng, (15, 16), (8, 16))
    access = kernel.access(odd.nodes[0], odd)[0]
    assert access is not None and access.distance(Direction.DESCENDING) is None


def test_what_is_rejected() -> None:
    rng, board = np.random.default_rng(6), load_board("cortex-m4")
    for name in NAMES:
        kernel = KERNELS[name]
        assert isinstance(kernel, _Winograd)
        assert not kernel.serves(load_board("cortex-m3"))
        few = convolution(kernel, rng, (8, 8), (3, 8))
        assert "input channels" in (kernel.reject(few.nodes[0], few, board) or "")
        graph = convolution(kernel, rng, (8, 8), (8, 8))
        assert kernel.reject(graph.nodes[0], graph, board) is None
        strided = replace(graph.nodes[0], attrs={**graph.nodes[0].attrs, "strides": (2, 1)})
        assert "stride" in (kernel.reject(strided, graph, board) or "")
        bias = replace(graph.tensors["b"], data=np.full(8, 1 << 30, np.int32))
        large = replace(graph, tensors={**graph.tensors, "b": bias})
        assert "accumulator" in (kernel.reject(large.nodes[0], large, board) or "")
