"""depthwise_conv2d_dsp3x3_unrolled equals the reference for every width, at borders too, on emulated cores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from graphs import int8_type, one_node_graph
from harness import BUILDS, check_kernel, check_on_board, leave_out

from mcugen.boards import load_board
from mcugen.ir import DType, Graph, Quant, Tensor, TensorType
from mcugen.kernels import KERNELS
from mcugen.kernels.depthwise_conv2d_dsp3x3_unrolled import MOST_COLUMNS, REACH

KERNEL = KERNELS["depthwise_conv2d_dsp3x3_unrolled"]
BOARD = load_board("cortex-m4")


@pytest.fixture(autouse=True)
def no_other_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers are done by this kernel, whatever is cheaper."""
    others = [n for n, k in KERNELS.items() if "depthwise_conv2d" in k.ops and n != KERNEL.name]
    leave_out(monkeypatch, others)


def layer(seed: int, height: int, width: int, channels: int, zero_point: int) -> Graph:
    """A layer as networks have them: one row and column of padding all around, a fused ReLU."""
    rng = np.random.default_rng(seed)
    x = int8_type((1, height, width, channels), 0.05, zero_point)
    weights = rng.integers(-128, 128, (1, 3, 3, channels)).astype(np.int8)
    scales = tuple(float(np.float32(s)) for s in 2.0 ** rng.uniform(-4, -1, channels))
    bias = rng.integers(-3000, 3000, channels).astype(np.int32)
    operands = [
        x,
        Tensor("w", TensorType(weights.shape, DType.INT8, Quant(scales, (0,) * channels, 3)), weights),
        Tensor("b", TensorType(bias.shape, DType.INT32), bias),
    ]
    attrs = {"strides": (1, 1), "dilations": (1, 1), "pads": (1, 1, 1, 1), "clamp": (-np.inf, np.inf)}
    y = int8_type((1, height, width, channels), 1.0, -128)
    return one_node_graph("depthwise_conv2d", operands, attrs, y)


def layers() -> list[Graph]:
    """Heights from 1 on, all widths, zero points of both signs and their ends."""
    points = (-128, -1, 0, 5, 127, -77)
    return [
        layer(width, 1 + width % 6, width, 1 + 5 * width % 7, points[width % 6])
        for width in (*range(3, MOST_COLUMNS + 1), 5, 6)
    ]


def test_every_width() -> None:
    graphs = layers()
    assert all(KERNEL.reject(graph.nodes[0], graph, BOARD) is None for graph in graphs)
    check_kernel(graphs, 4, board="cortex-m4", builds=BUILDS[1:2], kernel=KERNEL.name)


@pytest.mark.slow
@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m7", "cortex-m33"])
def test_on_board(core: str) -> None:
    check_on_board(layers(), core)


def test_what_it_refuses() -> None:
    graph = layer(0, 4, 5, 3, 0)
    node = graph.nodes[0]
    for name, value in (("strides", (1, 2)), ("dilations", (2, 1)), ("pads", (1, 0, 1, 2))):
        assert KERNEL.reject(replace(node, attrs={**node.attrs, name: value}), graph, BOARD) is not None
    for height, width, channels in ((4, MOST_COLUMNS + 1, 3), (4, 2, 3), (4, 5, REACH // 15 + 1)):
        wide = layer(0, height, width, channels, 0)
        assert KERNEL.reject(wide.nodes[0], wide, BOARD) is not None
