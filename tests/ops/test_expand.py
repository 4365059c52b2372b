"""Expand against onnxruntime; copies vanish in front of operators that broadcast by themselves."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper
from onnx_case import check_case, import_case, onnx_model, operators

from mcugen.errors import ModelError, UnsupportedError
from mcugen.normalise import normalise


@pytest.mark.parametrize("opset", [8, 13, 17])
@pytest.mark.parametrize(
    ("x", "shape"),
    [
        ((1, 1, 3), (1, 4, 3)),
        ((1, 3, 1, 1), (1, 3, 2, 5)),
        ((1, 4), (1, 1)),
        ((1, 4), (3, 1, 4)),
        ((1, 2, 3), (2, 1)),
    ],
)
def test_expand(x: tuple[int, ...], shape: tuple[int, ...], opset: int) -> None:
    node = helper.make_node("Expand", ["x", "shape"], ["y"], "n")
    check_case(node, {"x": x}, {"shape": np.array(shape)}, opset=opset)


@pytest.mark.parametrize("swapped", [False, True])
def test_no_copies_where_mul_broadcasts(swapped: bool) -> None:
    nodes = [
        helper.make_node("Expand", ["gate", "shape"], ["wide"], "e"),
        helper.make_node("Mul", ["wide", "x"] if swapped else ["x", "wide"], ["y"], "m"),
    ]
    inputs = {"x": (1, 5, 3, 2), "gate": (1, 5, 1, 1)}
    graph = check_case(nodes, inputs, {"shape": np.array([1, 5, 3, 2])})
    assert "concat" in operators(graph)
    assert "concat" not in operators(normalise(graph))


def test_copies_stay_where_the_other_operand_is_small_too() -> None:
    nodes = [
        helper.make_node("Expand", ["gate", "shape"], ["wide"], "e"),
        helper.make_node("Add", ["x", "wide"], ["y"], "m"),
    ]
    graph = check_case(nodes, {"x": (1, 5, 1), "gate": (1, 5, 1)}, {"shape": np.array([1, 5, 3])})
    assert "concat" in operators(normalise(graph))


@pytest.mark.parametrize(
    ("shape", "error", "message"),
    [([1, 2, 3], ModelError, "broadcast"), ([1, 4, 4000], UnsupportedError, "4,000 copies")],
)
def test_refused(shape: list[int], error: type[Exception], message: str) -> None:
    node = helper.make_node("Expand", ["x", "shape"], ["y"], "n")
    with pytest.raises(error, match=message):
        import_case(onnx_model([node], {"x": (1, 4, 1)}, {"shape": np.array(shape)}, ["y"], 17))
