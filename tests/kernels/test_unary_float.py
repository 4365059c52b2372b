"""unary_float equals the exact float reference, bit by bit: every function, expressions, powers."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from graphs import one_node_graph
from harness import check_kernel

from mcugen.access import Direction
from mcugen.boards import load_board
from mcugen.errors import UnsupportedError
from mcugen.ir import Graph, TensorType
from mcugen.kernels import KERNELS
from mcugen.ops import OPS
from mcugen.ops.functions import FUNCTIONS, Expression, X
from mcugen.pipeline import Compiled, lay_out, write

PARAMETERS: dict[str, tuple[float, ...]] = {
    **dict.fromkeys(("add", "sub", "mul", "div", "max", "min"), (0.37,)),
    **dict.fromkeys(("leaky_relu", "thresholded_relu", "elu", "celu"), (0.3,)),
    "clip": (-0.5, 6.0),
    "pow": (3.0,),
    "shrink": (0.5, 0.1),
    "hard_sigmoid": (0.2, 0.5),
    "selu": (1.67326, 1.0507),
}
WITHOUT = {"tan", "asin", "acos", "sinh", "cosh", "asinh", "acosh", "atanh"}
COMPOSED: tuple[Expression, ...] = (
    X,
    1.5,
    ("clip", X, 0.0, math.inf),
    ("mul", X, X),
    ("sub", 1.0, X),
    ("div", 1.0, X),
    ("mul", X, ("sigmoid", ("mul", X, 1.702))),
    ("sub", 1.0, ("max", ("sign", ("sub", X, 0.25)), 0.0)),
    ("clip", ("add", ("mul", X, 0.1), 0.5), 0.0, 1.0),
    ("add", ("exp", ("neg", ("mul", X, X))), ("log", ("add", 1.0, ("mul", X, X)))),
    *(("pow", X, p) for p in (-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 7.0, 16.0)),
)


def unary(function: Expression, shape: tuple[int, ...] = (1, 5, 20)) -> Graph:
    return one_node_graph("unary", [TensorType(shape)], {"function": function}, TensorType(shape))


def test_every_function() -> None:
    graphs = [unary((name, X, *PARAMETERS.get(name, ()))) for name in FUNCTIONS if name not in WITHOUT]
    check_kernel(graphs, kernel="unary_float")


def test_composed_functions() -> None:
    check_kernel([unary(function) for function in COMPOSED], kernel="unary_float")


def test_extreme_values() -> None:
    values = [0.0, 1e-45, 1e-38, 1e-20, 1.0, 3.0, 20.0, 88.7, 88.8, 103.9, 1e10, 3.4e38, math.inf]
    x = np.array([[values + [-v for v in values]]], np.float32)
    names = ("exp", "tanh", "erf", "hard_sigmoid", "elu", "softplus", "sin", "cos", "atan", "log", "sqrt")
    graphs = [unary((name, X, *PARAMETERS.get(name, ())), x.shape[1:]) for name in names]
    check_kernel(graphs, [x] * len(graphs))


@pytest.mark.parametrize("function", [*(f for f in COMPOSED), ("gelu", X), ("clip", X, 0.0, 6.0)])
def test_close_to_the_float_reference(function: Expression) -> None:
    graph = unary(function)
    x = np.random.default_rng(0).uniform(0.1, 5.0, (4, 5, 20)).astype(np.float32)
    exact, reference = (
        f(graph.nodes[0], graph, [x])[0] for f in (OPS["unary"].float_exact, OPS["unary"].float_reference)
    )
    assert exact.dtype == np.float32 and exact.shape == x.shape
    np.testing.assert_allclose(exact, reference, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "function", [*((name, X) for name in sorted(WITHOUT)), ("pow", X, 0.3), ("pow", 2.0, X)]
)
def test_refuses_what_has_no_float_function(function: Expression) -> None:
    graph = unary(function)
    with pytest.raises(UnsupportedError) as error:
        lay_out(graph, load_board("host"), "t", "test", "0" * 64, "test")
    assert "no float kernel; use int8" in str(error.value.faults)
    one = np.ones((1, 5, 20), np.float32)
    (exact,), (reference,) = (
        f(graph.nodes[0], graph, [one]) for f in (OPS["unary"].float_exact, OPS["unary"].float_reference)
    )
    np.testing.assert_array_equal(exact, reference)  # where nothing is to be compiled


def test_works_in_place() -> None:
    graph = unary(("silu", X))
    (access,) = KERNELS["unary_float"].access(graph.nodes[0], graph)
    assert access is not None and access.distance(Direction.ASCENDING) == 0


def test_one_function_for_all_constants(tmp_path: Path) -> None:
    """A library holds a function per expression, whatever its constants are."""
    x = TensorType((1, 4))
    graph = unary(("leaky_relu", X, 0.1), (1, 4))
    second = one_node_graph("unary", [x], {"function": ("leaky_relu", X, 0.2)}, x).nodes[0]
    node = type(second)("b", "unary", ("y",), ("z",), second.attrs)
    tensor = type(graph.tensors["y"])("z", x)
    chain = Graph("g", ("x0",), ("z",), (*graph.nodes, node), {**graph.tensors, "z": tensor})
    library = lay_out(chain, load_board("host"), "t", "test", "0" * 64, "test")
    folder = write(Compiled(library, chain, {}, ()), tmp_path).path
    code = (folder / "src/t.c").read_text(encoding="utf-8")
    assert re.findall(r"static void (unary\w+)\(", code) == ["unary_float_leaky_relu"]
    assert code.count("unary_float_leaky_relu(&") == 2
