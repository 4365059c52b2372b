"""table_int16 equals the reference; tables come near the functions."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import int16_type, one_node_graph
from harness import check_kernel

from mcugen.boards import load_board
from mcugen.ir import Graph
from mcugen.kernels import KERNELS
from mcugen.ops import OPS
from mcugen.ops.functions import Expression, X, evaluate
from mcugen.select import option, unserved

SMOOTH = [
    ("gelu", X),
    ("silu", X),
    ("exp", X),
    ("softplus", X),
    ("hard_swish", X),
    ("mul", X, ("sigmoid", X)),
]


def graph_of(function: Expression, x_scale: float, y_scale: float) -> Graph:
    return one_node_graph(
        "unary", [int16_type((1, 3000), x_scale)], {"function": function}, int16_type((1, 3000), y_scale)
    )


def test_tables() -> None:
    graphs = [graph_of(f, s, 0.0003) for f in (*SMOOTH, ("log", X), ("div", 1.0, X)) for s in (0.0002, 0.001)]
    check_kernel(graphs, kernel="table_int16")


@pytest.mark.parametrize("function", SMOOTH)
def test_interpolation_errs_little(function: Expression) -> None:
    x_scale, x = 8.0 / 32767.0, np.arange(-32768, 32768).astype(np.int16)
    real = evaluate(function, x * x_scale)
    y_scale = float(np.abs(real).max()) / 32767.0
    graph = graph_of(function, x_scale, y_scale)
    (y,) = OPS["unary"].reference(graph.nodes[0], graph, [x])
    errors = np.abs(y * y_scale - real) / np.abs(real).max()
    assert errors.max() < (3e-4 if function[0] == "exp" else 6e-5)  # the end of a table is cut off


@pytest.mark.parametrize("function", [("sign", X), ("floor", X), ("mul", X, ("round", X))])
def test_functions_that_jump_are_refused(function: Expression) -> None:
    graph = graph_of(function, 0.001, 0.001)
    reason = unserved(option(graph.nodes[0], graph, load_board("host")), graph)
    assert reason is not None and "jumps" in reason
    assert KERNELS["table_int16"].limits
