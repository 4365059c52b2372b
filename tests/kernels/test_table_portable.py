"""table_portable equals the reference for unary and requantize nodes."""

from __future__ import annotations

import numpy as np

from mcugen.access import Direction
from mcugen.kernels import KERNELS
from mcugen.ops.functions import X
from tests.graphs import int8_type, one_node_graph
from tests.kernels.harness import check_kernel

ALL = np.arange(-128, 128).astype(np.int8)


def test_every_input_byte() -> None:
    x, y = int8_type((1, 16, 16), 0.05, 17), int8_type((1, 16, 16), 0.011, -40)
    graphs = [one_node_graph("requantize", [x], {}, y)]
    graphs += [
        one_node_graph("unary", [x], {"function": f}, y)
        for f in (("silu", X), ("clip", X, 0.0, 1.0), ("log", X), ("hard_swish", X), ("sub", 1.0, X))
    ]
    check_kernel(graphs, [ALL.reshape(1, 1, 16, 16)] * len(graphs), kernel="table_portable")


def test_works_in_place() -> None:
    x = int8_type((1, 6), 0.05)
    graph = one_node_graph("unary", [x], {"function": ("silu", X)}, x)
    (access,) = KERNELS["table_portable"].access(graph.nodes[0], graph)
    assert access is not None and access.distance(Direction.ASCENDING) == 0
