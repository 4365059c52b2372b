"""pad: the integer reference against TFLM, ONNX's forms against onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
import tflite_case
from graphs import int8_type, one_node_graph, random_int8
from onnx import helper
from onnx_case import check_case, import_case, onnx_model, operators
from tflm import TensorSpec, run_tflm

from mcugen.errors import ModelError, UnsupportedError
from mcugen.ops import OPS

PADS = ((0, 0), (1, 2), (0, 3), (2, 0))


def test_equals_tflm(rng_seed: int) -> None:
    x = random_int8(np.random.default_rng(rng_seed), (1, 3, 4, 2))
    x_type, y_type = int8_type(x.shape, 0.1, -77), int8_type((1, 6, 7, 4), 0.1, -77)
    graph = one_node_graph("pad", [x_type], {"pads": PADS, "value": 0.0}, y_type)
    assert OPS["pad"].infer(graph.nodes[0], [x_type])[0].shape == y_type.shape
    (y,) = OPS["pad"].reference(graph.nodes[0], graph, [x])
    specs = [TensorSpec(t.shape, "int8", t.scale, t.zero_point) for t in (x_type, y_type)]
    paddings = TensorSpec((4, 2), "int32", data=np.array(PADS))
    (expected,) = run_tflm("PAD", {}, [specs[0], paddings], specs[1:], [x])
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("value", [-128, -7, 0, 5, 127])
@pytest.mark.parametrize(("scale", "zero_point"), [(0.1, -7), (1e-30, 127), (3e7, -128)])
def test_padv2_equals_tflm(value: int, scale: float, zero_point: int) -> None:
    """The constant is an integer of the output's quantization; it comes back exactly through its real value."""
    x, y = (tflite_case.int8(shape, scale, zero_point) for shape in ((1, 3, 4, 2), (1, 6, 7, 4)))
    constant = TensorSpec((1,), "int8", scale, zero_point, data=np.array([value]))
    graph = tflite_case.check_case("PADV2", {}, [x, tflite_case.ints(np.array(PADS)), constant], [y])
    assert operators(graph) == ["pad"]


@pytest.mark.parametrize(("value", "fill"), [(0.0, -7), (0.24, -5), (-0.26, -10), (99.0, 127), (-99.0, -128)])
def test_fill_is_quantized_and_saturates(value: float, fill: int) -> None:
    x_type, y_type = int8_type((1, 1), 0.1, -7), int8_type((1, 2), 0.1, -7)
    graph = one_node_graph("pad", [x_type], {"pads": ((0, 0), (1, 0)), "value": value}, y_type)
    (y,) = OPS["pad"].reference(graph.nodes[0], graph, [np.array([[3]], np.int8)])
    assert y.tolist() == [[fill, 3]]


@pytest.mark.parametrize(
    ("pads", "expected"),
    [
        ((0, 0, 1, 2, 0, 0, 3, 0), ["pad"]),
        ((0, 0, -1, 0, 0, 0, 0, -2), ["slice"]),
        ((0, 1, -1, 0, 0, 0, 2, -2), ["slice", "pad"]),
    ],
)
def test_import(pads: tuple[int, ...], expected: list[str]) -> None:
    x = {"x": (1, 2, 5, 6)}
    old = check_case(helper.make_node("Pad", ["x"], ["y"], pads=pads, value=0.5), x, opset=7)
    constants = {"p": np.array(pads, np.int64), "v": np.array(0.5, np.float32)}
    new = check_case(helper.make_node("Pad", ["x", "p", "v"], ["y"]), x, constants, opset=13)
    axes = {"p": np.array([*pads[2:4], *pads[6:]], np.int64), "a": np.array([2, -1], np.int64)}
    assert operators(old) == operators(new) == expected
    if not pads[1]:
        check_case(helper.make_node("Pad", ["x", "p", "", "a"], ["y"]), x, axes, opset=18)


def test_no_padding_is_no_node() -> None:
    nodes = [helper.make_node("Pad", ["x"], ["z"], pads=[0] * 4), helper.make_node("Relu", ["z"], ["y"])]
    assert "pad" not in operators(check_case(nodes, {"x": (1, 3)}, opset=9))


@pytest.mark.parametrize(
    ("attrs", "why"),
    [
        (dict(mode="wrap", pads=[0, 1, 0, 1]), "padding mode 'wrap'"),
        (dict(pads=[0, 1, 0, 1], value=float("-inf")), "no integer form"),
    ],
)
def test_what_is_not_supported(attrs: dict, why: str) -> None:
    node = helper.make_node("Pad", ["x"], ["y"], **attrs)
    with pytest.raises(UnsupportedError, match=why):
        import_case(onnx_model([node], {"x": (1, 3)}, {}, ["y"], 9))


def test_wrong_number_of_pads() -> None:
    node = helper.make_node("Pad", ["x"], ["y"], pads=[0, 1, 0])
    with pytest.raises(ModelError, match="for 2 axes"):
        import_case(onnx_model([node], {"x": (1, 3)}, {}, ["y"], 9))


def test_samples_and_quantization() -> None:
    x, y = int8_type((1, 3)), int8_type((2, 3))
    for pads, batchable in ((((0, 0), (1, 1)), True), (((0, 1), (0, 0)), False)):
        graph = one_node_graph("pad", [x], {"pads": pads, "value": 0.0}, y)
        assert OPS["pad"].batchable(graph.nodes[0], graph) is batchable
        assert OPS["pad"].same_quant(graph.nodes[0], graph) == ("x0", "y")
