"""Operators that leave no node behind, and their forms that would have to."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import NodeProto, helper
from onnx_case import check_case, import_case, onnx_model, operators

from mcugen.errors import UnsupportedError


@pytest.mark.parametrize(
    ("node", "opset"),
    [
        (helper.make_node("Identity", ["x"], ["z"]), 17),
        (helper.make_node("Dropout", ["x"], ["z"], ratio=0.9), 7),
        (helper.make_node("Dropout", ["x"], ["z", "mask"]), 10),
        (helper.make_node("Dropout", ["x", "r", "t"], ["z"]), 13),
        (helper.make_node("Cast", ["x"], ["z"], to=1), 13),
    ],
)
def test_no_node_is_left(node: NodeProto, opset: int) -> None:
    constants = {"r": np.array(0.5, np.float32), "t": np.array(False)} if len(node.input) == 3 else {}
    nodes = [node, helper.make_node("Relu", ["z"], ["y"])]
    assert len(operators(check_case(nodes, {"x": (1, 3)}, constants, opset=opset))) == 1


def test_cast_to_half_is_passed_over() -> None:
    nodes = [helper.make_node("Cast", ["x"], ["z"], to=10), helper.make_node("Relu", ["z"], ["y"])]
    assert len(operators(import_case(onnx_model(nodes, {"x": (1, 3)}, {}, ["y"], 17)))) == 1


@pytest.mark.parametrize(
    ("node", "outputs"),
    [
        (helper.make_node("Dropout", ["x"], ["y", "mask"]), ["y", "mask"]),
        (helper.make_node("Dropout", ["x", "", "t"], ["y"]), ["y"]),
        (helper.make_node("Cast", ["x"], ["y"], to=7), ["y"]),
    ],
)
def test_what_is_not_supported(node: NodeProto, outputs: list[str]) -> None:
    with pytest.raises(UnsupportedError):
        import_case(onnx_model([node], {"x": (1, 3)}, {"t": np.array(True)}, outputs, 13))
