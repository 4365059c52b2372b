"""Comparisons, Not and Where against onnxruntime; an activation written with them becomes one table."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx_case import check_case, import_case, onnx_model, operators

from mcugen.errors import UnsupportedError
from mcugen.normalise import normalise


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("op_type", ["Greater", "Less", "GreaterOrEqual", "LessOrEqual"])
def test_comparison_chooses(op_type: str, swapped: bool) -> None:
    nodes = [
        helper.make_node(op_type, ["c", "x"] if swapped else ["x", "c"], ["m"], "c"),
        helper.make_node("Not", ["m"], ["no"], "n"),
        helper.make_node("Where", ["no", "x", "z"], ["y"], "w"),
    ]
    constants = {"c": np.array(0.25, np.float32)}
    graph = check_case(nodes, {"x": (1, 5, 7), "z": (1, 5, 7)}, constants)
    assert operators(graph).count("unary") == 2


def test_bounds_are_met_exactly() -> None:
    nodes = [
        *(
            helper.make_node(t, ["x", "c"], [t], t)
            for t in ("Greater", "Less", "GreaterOrEqual", "LessOrEqual")
        ),
        *(
            helper.make_node("Cast", [t], [f"{t}_f"], to=TensorProto.FLOAT)
            for t in ("Greater", "LessOrEqual")
        ),
        helper.make_node("Where", ["Less", "x", "Greater_f"], ["a"], "a"),
        helper.make_node("Where", ["GreaterOrEqual", "a", "LessOrEqual_f"], ["b"], "b"),
        helper.make_node("Mul", ["b", "x"], ["y"], "m"),
    ]
    relu = helper.make_node("Relu", ["in"], ["x"], "r")  # half of its values are exactly the bound 0
    check_case([relu, *nodes], {"in": (1, 40)}, {"c": np.array(0.0, np.float32)})


def test_guarded_softplus_is_one_table() -> None:
    nodes = [
        helper.make_node("Softplus", ["x"], ["s"], "s"),
        helper.make_node("Greater", ["x", "c"], ["m"], "g"),
        helper.make_node("Where", ["m", "x", "s"], ["y"], "w"),
    ]
    graph = check_case(nodes, {"x": (1, 9)}, {"c": np.array(20.0, np.float32)})
    assert operators(normalise(graph)) == ["unary"]


def test_comparison_of_two_activations_is_refused() -> None:
    nodes = [
        helper.make_node("Greater", ["x", "z"], ["m"], "g"),
        helper.make_node("Where", ["m", "x", "z"], ["y"], "w"),
    ]
    with pytest.raises(UnsupportedError, match="one number"):
        import_case(onnx_model(nodes, {"x": (1, 3), "z": (1, 3)}, {}, ["y"], 17))


def test_constant_condition_is_refused() -> None:
    node = helper.make_node("Where", ["m", "x", "z"], ["y"], "w")
    model = onnx_model([node], {"x": (1, 3), "z": (1, 3)}, {"m": np.array([True, False, True])}, ["y"], 17)
    with pytest.raises(UnsupportedError, match="constant condition"):
        import_case(model)
