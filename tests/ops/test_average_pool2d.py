"""average_pool2d: the integer reference against TFLM and by hand, AveragePool against onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import int8_type, one_node_graph, random_int8
from onnx import helper
from onnx_case import check_case
from test_max_pool2d import GEOMETRY, attributes
from tflm import TensorSpec, run_tflm

from mcugen.ops import OPS


@pytest.mark.parametrize("case", GEOMETRY)
@pytest.mark.parametrize(("activation", "clamp"), [("NONE", (-np.inf, np.inf)), ("RELU", (0.0, np.inf))])
def test_equals_tflm(case: tuple, activation: str, clamp: tuple[float, float], rng_seed: int) -> None:
    h, w, c, kernel, strides, pads = case
    rng = np.random.default_rng(rng_seed)
    attrs = {**attributes(case, clamp), "count_include_pad": False}
    room = OPS["average_pool2d"]
    for zero_point in (-128, 11, 127):
        x_type = int8_type((1, h, w, c), 0.1, zero_point)
        probe = one_node_graph("average_pool2d", [x_type], attrs, x_type)
        (inferred,) = room.infer(probe.nodes[0], [x_type])
        y_type = int8_type(inferred.shape, 0.1, zero_point)
        graph = one_node_graph("average_pool2d", [x_type], attrs, y_type)
        x = random_int8(rng, x_type.shape)
        (y,) = room.reference(graph.nodes[0], graph, [x])
        options = dict(
            padding="SAME" if pads else "VALID",
            filter_height=kernel[0],
            filter_width=kernel[1],
            stride_h=strides[0],
            stride_w=strides[1],
            fused_activation_function=activation,
        )
        specs = [TensorSpec(t.shape, "int8", t.scale, t.zero_point) for t in (x_type, y_type)]
        (expected,) = run_tflm("AVERAGE_POOL_2D", options, specs[:1], specs[1:], [x])
        np.testing.assert_array_equal(y, expected)


def test_padding_counts_as_the_zero_point() -> None:
    x_type = int8_type((1, 2, 2, 1), 0.5, 10)
    attrs = dict(kernel=(2, 2), strides=(2, 2), dilations=(1, 1), pads=(1, 1, 1, 1), count_include_pad=True)
    graph = one_node_graph("average_pool2d", [x_type], attrs, x_type)
    x = np.array([[20, -3], [-128, 127]], np.int8).reshape(1, 2, 2, 1)
    (y,) = OPS["average_pool2d"].reference(graph.nodes[0], graph, [x])
    # (20 + 30) / 4 = 12.5, (-3 + 30) / 4 = 6.75, (-128 + 30) / 4 = -24.5, (127 + 30) / 4 = 39.25
    np.testing.assert_array_equal(y.reshape(-1), [13, 7, -25, 39])


def test_cells_of_ceil_mode_count_for_nothing() -> None:
    x_type = int8_type((1, 3, 3, 1), 0.5, 10)
    attrs = dict(
        kernel=(2, 2),
        strides=(2, 2),
        dilations=(1, 1),
        pads=(0, 0, 1, 1),
        counted_pads=(0, 0, 0, 0),
        count_include_pad=True,
    )
    graph = one_node_graph("average_pool2d", [x_type], attrs, int8_type((1, 2, 2, 1), 0.5, 10))
    x = np.arange(0, 90, 10, dtype=np.int8).reshape(1, 3, 3, 1)
    (y,) = OPS["average_pool2d"].reference(graph.nodes[0], graph, [x])
    np.testing.assert_array_equal(y.reshape(-1), [20, 35, 65, 80])


@pytest.mark.parametrize("include", [0, 1])
@pytest.mark.parametrize(
    ("opset", "x", "attrs"),
    [
        (7, (1, 3, 9, 8), dict(kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1])),
        (10, (1, 3, 9, 8), dict(kernel_shape=[3, 3], auto_pad="SAME_UPPER", strides=[2, 3])),
        (11, (1, 3, 9, 8), dict(kernel_shape=[3, 3], auto_pad="SAME_LOWER", strides=[2, 2])),
        (19, (1, 3, 10, 8), dict(kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)),
        (19, (1, 3, 10, 9), dict(kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 0, 1], ceil_mode=1)),
        (19, (1, 3, 9, 8), dict(kernel_shape=[2, 2], dilations=[2, 3], pads=[1, 1, 1, 1])),
        (17, (1, 3, 11), dict(kernel_shape=[3], strides=[2], pads=[1, 1])),
    ],
)
def test_import(opset: int, x: tuple[int, ...], attrs: dict, include: int) -> None:
    node = helper.make_node("AveragePool", ["x"], ["y"], count_include_pad=include, **attrs)
    check_case(node, {"x": x}, opset=opset)


def test_same_quant() -> None:
    t = int8_type((1, 2, 2, 1))
    graph = one_node_graph("average_pool2d", [t], attributes(GEOMETRY[0]), t)
    assert OPS["average_pool2d"].same_quant(graph.nodes[0], graph) == ("x0", "y")
