"""reshape: ONNX's four ways of changing a shape against onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import one_node_graph
from onnx import helper
from onnx_case import check_case, import_case, onnx_model

from mcugen.errors import ModelError
from mcugen.ir import TensorType
from mcugen.ops import OPS

X = {"x": (1, 4, 1, 6)}


@pytest.mark.parametrize("shape", [(1, 24), (0, -1), (-1, 8), (0, 0, 6), (2, 2, -1, 3), (24,)])
def test_reshape(shape: tuple[int, ...]) -> None:
    node = helper.make_node("Reshape", ["x", "s"], ["y"])
    check_case(node, X, {"s": np.array(shape, np.int64)}, opset=7)


@pytest.mark.parametrize("shape", [(5, -1), (-1, -1), (1, 23), (0, 0, 0, 0, 0), (-2, 12)])
def test_shapes_that_do_not_fit(shape: tuple[int, ...]) -> None:
    node = helper.make_node("Reshape", ["x", "s"], ["y"])
    with pytest.raises(ModelError, match="to the shape"):
        import_case(onnx_model([node], X, {"s": np.array(shape, np.int64)}, ["y"], 17))


def test_zero_can_be_taken_literally() -> None:
    node = helper.make_node("Reshape", ["x", "s"], ["y"], allowzero=1)
    with pytest.raises(ModelError, match="to the shape"):
        import_case(onnx_model([node], X, {"s": np.array([0, -1], np.int64)}, ["y"], 17))


@pytest.mark.parametrize("axis", [None, 0, 2, 4, -1])
def test_flatten(axis: int | None) -> None:
    attrs = {} if axis is None else {"axis": axis}
    check_case(helper.make_node("Flatten", ["x"], ["y"], **attrs), X, opset=11)


@pytest.mark.parametrize(("opset", "axes"), [(7, [2]), (7, None), (13, [0, -2]), (13, None)])
def test_squeeze(opset: int, axes: list[int] | None) -> None:
    check_case(*axes_node("Squeeze", opset, axes), opset=opset)


@pytest.mark.parametrize(("opset", "axes"), [(7, [1]), (13, [5, 1]), (13, [-1])])
def test_unsqueeze(opset: int, axes: list[int]) -> None:
    check_case(*axes_node("Unsqueeze", opset, axes), opset=opset)


def axes_node(op: str, opset: int, axes: list[int] | None):
    """Arguments of check_case; axes are an attribute until opset 12, an input from 13 on."""
    if axes is None:
        return helper.make_node(op, ["x"], ["y"]), X, {}
    if opset < 13:
        return helper.make_node(op, ["x"], ["y"], axes=axes), X, {}
    return helper.make_node(op, ["x", "a"], ["y"]), X, {"a": np.array(axes, np.int64)}


def test_axes_that_make_no_sense() -> None:
    for node, why in (
        (helper.make_node("Squeeze", ["x"], ["y"], axes=[1]), "size 1"),
        (helper.make_node("Unsqueeze", ["x"], ["y"], axes=[1, 1]), "one twice"),
    ):
        with pytest.raises(ModelError, match=why):
            import_case(onnx_model([node], X, {}, ["y"], 7))


def test_samples_stay_apart() -> None:
    x = np.arange(12, dtype=np.float32).reshape(2, 6)
    graph = one_node_graph("reshape", [TensorType((1, 6))], {"shape": (1, 2, 3)}, TensorType((1, 2, 3)))
    room = OPS["reshape"]
    assert room.batchable(graph.nodes[0], graph)
    np.testing.assert_array_equal(room.float_reference(graph.nodes[0], graph, [x])[0], x.reshape(2, 2, 3))
    flat = one_node_graph("reshape", [TensorType((1, 6))], {"shape": (6,)}, TensorType((6,)))
    assert not room.batchable(flat.nodes[0], flat)
    assert room.same_quant(flat.nodes[0], flat) == ("x0", "y")
    with pytest.raises(ValueError, match="to the shape"):
        room.infer(flat.nodes[0], [TensorType((1, 5))])
