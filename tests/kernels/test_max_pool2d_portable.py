"""max_pool2d_portable equals the reference over shapes, windows, dilations, padding and clamps."""

from __future__ import annotations

from typing import Any

import numpy as np
from graphs import int8_type, one_node_graph
from harness import check_kernel

from mcugen.ir import Graph
from mcugen.ops import OPS


def random_pool(rng: np.random.Generator, op: str, **more: Any) -> Graph:
    """One pooling layer with everything random, every window over a cell of the image."""
    while True:
        kernel, strides, dilations = (tuple(int(v) for v in rng.integers(1, top, 2)) for top in (5, 4, 3))
        attrs = {
            "kernel": kernel,
            "strides": strides,
            "dilations": dilations,
            "pads": tuple(int(v) for v in rng.integers(0, 4, 4)),
            "clamp": (-2.0, 3.0) if rng.random() < 0.3 else (-np.inf, np.inf),
            **more,
        }
        shape = (1, *(int(v) for v in rng.integers(1, 9, 2)), int(rng.integers(1, 10)))
        x = int8_type(shape, 0.05, int(rng.integers(-128, 128)))
        graph = one_node_graph(op, [x], attrs, x)
        try:
            (y,) = OPS[op].infer(graph.nodes[0], [x])
        except ValueError:
            continue
        return one_node_graph(op, [x], attrs, int8_type(y.shape, x.scale, x.zero_point))


def test_random_pools() -> None:
    rng = np.random.default_rng(5)
    check_kernel([random_pool(rng, "max_pool2d") for _ in range(30)], kernel="max_pool2d_portable")
