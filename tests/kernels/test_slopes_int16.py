"""slopes_int16 equals the reference: clamps, leaky_relu and abs, of every ratio of scales."""

from __future__ import annotations

import numpy as np
from graphs import int16_type, one_node_graph
from harness import check_kernel

from mcugen.ops.functions import X

LINES = [
    ("clip", X, 0.0, np.inf),
    ("clip", X, -1.0, 2.5),
    ("leaky_relu", X, 0.1),
    ("leaky_relu", X, -2.0),
    ("abs", X),
]


def test_straight_lines() -> None:
    graphs = [
        one_node_graph("unary", [int16_type((1, 3000), x)], {"function": f}, int16_type((1, 3000), y))
        for f in LINES
        for x, y in ((0.001, 0.001), (0.001, 0.0003), (1.0, 1e-6))
    ]
    check_kernel(graphs, kernel="slopes_int16")
