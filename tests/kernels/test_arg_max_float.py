"""arg_max_float and arg_min_float equal the reference: axes, ties, first and last, NaN."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from graphs import as_float, one_node_graph
from harness import check_kernel, corners_for
from test_arg_max_portable import SHAPES, arg_graph

from mcugen.access import Direction
from mcugen.ir import DType, Graph, TensorType
from mcugen.kernels import KERNELS
from mcugen.ops import OPS
from mcugen.pipeline import compile_graph
from mcugen.quantize.recipes import Recipe


def float_graph(op: str, shape: tuple[int, ...], axis: int, last: bool) -> Graph:
    """The index stays an integer."""
    graph = arg_graph(op, shape, axis, last)
    return replace(graph, tensors={**graph.tensors, "x": as_float(graph).tensors["x"]})


@pytest.mark.parametrize("op", ["arg_max", "arg_min"])
def test_random_and_ties(op: str) -> None:
    graphs = [float_graph(op, s, a, last) for s, a in SHAPES for last in (False, True)]
    check_kernel(graphs, kernel=f"{op}_float")
    check_kernel(graphs, corners_for(graphs), kernel=f"{op}_float")


def test_works_in_place() -> None:
    for shape, axis in SHAPES:
        graph = float_graph("arg_max", shape, axis, False)
        (access,) = KERNELS["arg_max_float"].access(graph.nodes[0], graph)
        assert access is not None
        distance = access.distance(Direction.ASCENDING)
        assert distance is not None and distance <= 0


def test_zeros_are_equal_and_a_nan_is_passed_over_behind_the_first() -> None:
    nan, inf = np.nan, np.inf
    x = np.array([[0.0, -0.0, -1.0, nan], [-inf, nan, -inf, nan], [nan, 3.0, inf, nan]], np.float32)
    for op, last, expected in (
        ("arg_max", False, [0, 0, 0]),
        ("arg_max", True, [1, 2, 0]),
        ("arg_min", False, [2, 0, 0]),
        ("arg_min", True, [2, 2, 0]),
    ):
        graph = float_graph(op, (3, 4), 1, last)
        (index,) = OPS[op].reference(graph.nodes[0], graph, [x])
        assert index.tolist() == expected and index.dtype == np.int32
        (real,) = OPS[op].float_exact(graph.nodes[0], graph, [x])
        assert real.tolist() == expected and real.dtype == np.float32


@pytest.mark.parametrize("recipe", [Recipe.FLOAT32, Recipe.FLOAT16])
def test_the_index_of_a_float_network_is_int32(recipe: Recipe) -> None:
    attrs = {"axes": (1,), "keepdims": False, "last": False}
    network = one_node_graph("arg_max", [TensorType((1, 5))], attrs, TensorType((1,)))
    graph = compile_graph(network, {}, recipe)
    assert graph.type("y").dtype is DType.INT32
    check_kernel(graph, kernel="arg_max_float")


def test_without_nan_the_same_as_numpy() -> None:
    x = np.random.default_rng(2).integers(-2, 3, (50, 7)).astype(np.float32)
    for op, last in (("arg_max", False), ("arg_max", True), ("arg_min", False), ("arg_min", True)):
        graph = float_graph(op, (50, 7), 1, last)
        (exact,), (usual,) = (
            f(graph.nodes[0], graph, [x]) for f in (OPS[op].float_exact, OPS[op].float_reference)
        )
        assert np.array_equal(exact, usual)
