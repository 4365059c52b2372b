"""pool2d_int16 equals the reference: windows, strides, dilations, paddings that count or not, clamps."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import int16_type, one_node_graph
from harness import check_kernel

from mcugen.boards import load_board
from mcugen.ir import Graph
from mcugen.kernels import KERNELS
from mcugen.ops import OPS

KERNEL = KERNELS["pool2d_int16"]


def random_pool(op: str, rng: np.random.Generator) -> Graph:
    kernel = tuple(int(v) for v in rng.integers(1, 5, 2))
    dilations = (1, 1) if rng.random() < 0.7 else (2, 1)
    pads = tuple(int(rng.integers(0, k)) for k in (*kernel, *kernel))
    attrs = {
        "kernel": kernel,
        "strides": tuple(int(v) for v in rng.integers(1, 4, 2)),
        "dilations": dilations,
        "pads": pads,
        "clamp": (0.0, 6.0) if rng.random() < 0.3 else (-np.inf, np.inf),
    }
    if op == "average_pool2d":
        attrs["count_include_pad"] = bool(rng.random() < 0.5)
    size = [(k - 1) * d + int(rng.integers(1, 7)) for k, d in zip(kernel, dilations, strict=True)]
    x = int16_type((1, *size, int(rng.integers(1, 6))), 0.0004)
    probe = one_node_graph(op, [x], attrs, x)
    (y,) = OPS[op].infer(probe.nodes[0], [x])
    return one_node_graph(op, [x], attrs, int16_type(y.shape, 0.0004))


@pytest.mark.parametrize("op", KERNEL.ops)
def test_random_windows(op: str) -> None:
    rng = np.random.default_rng(2)
    check_kernel([random_pool(op, rng) for _ in range(25)], kernel=KERNEL.name)


def test_large_windows() -> None:
    board, x = load_board("host"), int16_type((1, 300, 300, 1))
    attrs = {"kernel": (300, 300), "strides": (1, 1), "dilations": (1, 1), "pads": (0, 0, 0, 0)}
    for op, fits in (("max_pool2d", True), ("average_pool2d", False)):
        graph = one_node_graph(op, [x], {**attrs, "count_include_pad": False}, int16_type((1, 1, 1, 1)))
        assert (KERNEL.reject(graph.nodes[0], graph, board) is None) == fits
