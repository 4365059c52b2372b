"""sigmoid_int16 equals the reference: both functions, powers of 2 and other scales, saturation."""

from __future__ import annotations

from graphs import int16_type, one_node_graph
from harness import check_kernel

from mcugen.ops.functions import X

SCALES = (2.0**-12, 2.0**-11, 2.0**-15, 0.0001, 0.001, 0.1, 1e-7, 2.6, 1e4)


def test_scales() -> None:
    graphs = [
        one_node_graph(
            "unary", [int16_type((1, 3000), s)], {"function": (f, X)}, int16_type((1, 3000), 1 / 32768)
        )
        for f in ("sigmoid", "tanh")
        for s in SCALES
    ]
    check_kernel(graphs, kernel="sigmoid_int16")
