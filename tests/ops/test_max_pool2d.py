"""max_pool2d: the integer reference against TFLM, MaxPool and GlobalMaxPool against onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import int8_type, one_node_graph, random_int8
from onnx import helper
from onnx_case import check_case, import_case, onnx_model
from tflm import TensorSpec, run_tflm

from mcugen.errors import ModelError, UnsupportedError
from mcugen.ir import TensorType
from mcugen.ops import OPS

# height, width, channels, kernel, strides, pads as TFLite's SAME gives them, or none
GEOMETRY = [
    (8, 9, 3, (2, 2), (2, 2), None),
    (7, 7, 2, (3, 3), (1, 1), (1, 1, 1, 1)),
    (5, 6, 4, (3, 2), (2, 2), (1, 0, 1, 0)),
    (4, 4, 1, (4, 4), (1, 1), None),
]


def attributes(case: tuple, clamp: tuple[float, float] = (-np.inf, np.inf)) -> dict:
    _, _, _, kernel, strides, pads = case
    return dict(kernel=kernel, strides=strides, dilations=(1, 1), pads=pads or (0, 0, 0, 0), clamp=clamp)


@pytest.mark.parametrize("case", GEOMETRY)
@pytest.mark.parametrize(("activation", "clamp"), [("NONE", (-np.inf, np.inf)), ("RELU6", (0.0, 6.0))])
def test_equals_tflm(case: tuple, activation: str, clamp: tuple[float, float], rng_seed: int) -> None:
    h, w, c, kernel, strides, pads = case
    rng = np.random.default_rng(rng_seed)
    attrs = attributes(case, clamp)
    x_type = int8_type((1, h, w, c), 0.1, -20)
    probe = one_node_graph("max_pool2d", [x_type], attrs, x_type)
    (inferred,) = OPS["max_pool2d"].infer(probe.nodes[0], [x_type])
    y_type = int8_type(inferred.shape, 0.1, -20)
    graph = one_node_graph("max_pool2d", [x_type], attrs, y_type)
    x = random_int8(rng, x_type.shape)
    (y,) = OPS["max_pool2d"].reference(graph.nodes[0], graph, [x])
    options = dict(
        padding="SAME" if pads else "VALID",
        filter_height=kernel[0],
        filter_width=kernel[1],
        stride_h=strides[0],
        stride_w=strides[1],
        fused_activation_function=activation,
    )
    specs = [TensorSpec(t.shape, "int8", t.scale, t.zero_point) for t in (x_type, y_type)]
    (expected,) = run_tflm("MAX_POOL_2D", options, specs[:1], specs[1:], [x])
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize(
    ("opset", "x", "attrs"),
    [
        (7, (1, 3, 9, 8), dict(kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1])),
        (8, (1, 3, 9, 8), dict(kernel_shape=[3, 3], auto_pad="SAME_LOWER", strides=[2, 3])),
        (10, (1, 3, 9, 8), dict(kernel_shape=[2, 2], dilations=[2, 3])),
        (12, (1, 3, 10, 8), dict(kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)),
        (12, (1, 3, 3, 3), dict(kernel_shape=[1, 1], strides=[2, 2], pads=[0, 0, 0, 0], ceil_mode=1)),
        (17, (1, 3, 11), dict(kernel_shape=[3], strides=[2], pads=[1, 1], ceil_mode=1)),
        (22, (1, 3, 11), dict(kernel_shape=[4])),
    ],
)
def test_import(opset: int, x: tuple[int, ...], attrs: dict) -> None:
    check_case(helper.make_node("MaxPool", ["x"], ["y"], **attrs), {"x": x}, opset=opset)


@pytest.mark.parametrize("x", [(1, 3, 5, 4), (1, 3, 7)])
def test_global(x: tuple[int, ...]) -> None:
    check_case(helper.make_node("GlobalMaxPool", ["x"], ["y"]), {"x": x})


def test_indices() -> None:
    pool = helper.make_node("MaxPool", ["x"], ["y", "i"], kernel_shape=[2, 2])
    check_case(pool, {"x": (1, 2, 4, 4)})  # nobody reads them
    cast = helper.make_node("Cast", ["i"], ["z"], to=1)
    with pytest.raises(UnsupportedError, match="Indices"):
        import_case(onnx_model([pool, cast], {"x": (1, 2, 4, 4)}, {}, ["y", "z"], 17))


@pytest.mark.parametrize(
    ("attrs", "why"),
    [
        (dict(kernel_shape=[5, 5]), "larger than the padded input"),
        (dict(kernel_shape=[1, 1], pads=[1, 0, 0, 0]), "inside the padding"),
        (dict(), "kernel_shape"),
    ],
)
def test_windows_that_make_no_sense(attrs: dict, why: str) -> None:
    node = helper.make_node("MaxPool", ["x"], ["y"], **attrs)
    with pytest.raises(ModelError, match=why):
        import_case(onnx_model([node], {"x": (1, 2, 4, 4)}, {}, ["y"], 17))


def test_a_window_whose_sum_would_overflow() -> None:
    attrs = dict(kernel=(1 << 12, 1 << 12), strides=(1, 1), dilations=(1, 1), pads=(0, 0, 0, 0))
    graph = one_node_graph("max_pool2d", [TensorType((1, 1, 1, 1))], attrs, TensorType((1, 1, 1, 1)))
    with pytest.raises(ValueError, match="too large"):
        OPS["max_pool2d"].infer(graph.nodes[0], [TensorType((1, 1, 1, 1))])


def test_same_quant() -> None:
    t = int8_type((1, 2, 2, 1))
    graph = one_node_graph("max_pool2d", [t], attributes(GEOMETRY[0]), t)
    assert OPS["max_pool2d"].same_quant(graph.nodes[0], graph) == ("x0", "y")
