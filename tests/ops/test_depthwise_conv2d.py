"""depthwise_conv2d: the integer reference against TFLM, the import against onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import int8_type, one_node_graph, random_int8
from onnx import helper
from onnx_case import check_case, operators
from tflm import TensorSpec, run_tflm

from mcugen.ir import DType, Quant, Tensor, TensorType
from mcugen.ops import OPS

# height, width, channels, multiplier, kernel, stride, dilation, SAME
GEOMETRY = [
    (8, 9, 3, 1, (3, 3), 1, 1, True),
    (9, 8, 4, 2, (3, 2), 2, 1, True),
    (7, 7, 1, 5, (2, 4), 1, 1, False),
    (11, 10, 2, 1, (3, 3), 1, 2, True),
    (5, 5, 6, 1, (5, 5), 3, 1, False),
]


def same_pads(size: tuple[int, int], kernel: tuple[int, int], stride: int, dilation: int) -> tuple[int, ...]:
    """top, left, bottom, right of TFLite's SAME."""
    before, after = [], []
    for n, k in zip(size, kernel, strict=True):
        total = max(0, (-(-n // stride) - 1) * stride + (k - 1) * dilation + 1 - n)
        before.append(total // 2)
        after.append(total - total // 2)
    return (*before, *after)


@pytest.mark.parametrize("case", GEOMETRY)
def test_equals_tflm(case: tuple, rng_seed: int) -> None:
    h, w, c, m, kernel, stride, dilation, same = case
    rng = np.random.default_rng(rng_seed)
    for zx, zy, clamp, activation in (
        (-128, -128, (0.0, 6.0), "RELU6"),
        (127, 3, (-np.inf, np.inf), "NONE"),
        (-5, 100, (0.0, np.inf), "RELU"),
    ):
        sx, sy = (float(np.float32(s)) for s in rng.uniform(0.01, 0.2, 2))
        scales = tuple(float(np.float32(s)) for s in rng.uniform(0.001, 0.1, c * m))
        weights = rng.integers(-127, 128, (1, *kernel, c * m)).astype(np.int8)
        bias = rng.integers(-20000, 20000, c * m).astype(np.int32)
        pads = same_pads((h, w), kernel, stride, dilation) if same else (0, 0, 0, 0)
        attrs = dict(strides=(stride,) * 2, dilations=(dilation,) * 2, pads=pads, clamp=clamp)
        x_type = int8_type((1, h, w, c), sx, zx)
        w_type = TensorType(weights.shape, DType.INT8, Quant(scales, (0,) * (c * m), 3))
        operands = [
            x_type,
            Tensor("w", w_type, weights),
            Tensor("b", TensorType(bias.shape, DType.INT32), bias),
        ]
        room = OPS["depthwise_conv2d"]
        probe = one_node_graph("depthwise_conv2d", operands, attrs, x_type)
        (inferred,) = room.infer(probe.nodes[0], [probe.type(i) for i in probe.nodes[0].inputs])
        y_type = int8_type(inferred.shape, sy, zy)
        graph = one_node_graph("depthwise_conv2d", operands, attrs, y_type)
        x = random_int8(rng, x_type.shape)
        (y,) = room.reference(graph.nodes[0], graph, [x, weights, bias])
        options = dict(
            padding="SAME" if same else "VALID",
            stride_h=stride,
            stride_w=stride,
            dilation_h_factor=dilation,
            dilation_w_factor=dilation,
            depth_multiplier=m,
            fused_activation_function=activation,
        )
        (expected,) = run_tflm(
            "DEPTHWISE_CONV_2D",
            options,
            [
                TensorSpec(x_type.shape, "int8", sx, zx),
                TensorSpec(weights.shape, "int8", scales, axis=3, data=weights),
                TensorSpec(bias.shape, "int32", [sx * s for s in scales], data=bias),
            ],
            [TensorSpec(y_type.shape, "int8", sy, zy)],
            [x],
        )
        np.testing.assert_array_equal(y, expected)
        assert room.macs(graph.nodes[0], graph) == y.size * kernel[0] * kernel[1]


@pytest.mark.parametrize("multiplier", [1, 3])
def test_import(multiplier: int, rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    weights = rng.standard_normal((4 * multiplier, 1, 3, 2)).astype(np.float32)
    bias = rng.standard_normal(4 * multiplier).astype(np.float32)
    node = helper.make_node(
        "Conv", ["x", "w", "b"], ["y"], group=4, pads=[1, 0, 2, 1], strides=[2, 1], dilations=[1, 2]
    )
    graph = check_case(node, {"x": (1, 4, 9, 7)}, {"w": weights, "b": bias})
    assert "depthwise_conv2d" in operators(graph)


def test_import_1d(rng_seed: int) -> None:
    weights = np.random.default_rng(rng_seed).standard_normal((4, 1, 3)).astype(np.float32)
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=4, pads=[2, 0], strides=[2])
    check_case(node, {"x": (1, 4, 9)}, {"w": weights})


def test_weights_that_do_not_fit() -> None:
    graph = one_node_graph("depthwise_conv2d", [TensorType((1, 4, 4, 3))], {}, TensorType((1, 4, 4, 3)))
    with pytest.raises(ValueError, match="do not fit"):
        OPS["depthwise_conv2d"].infer(
            graph.nodes[0], [TensorType(s) for s in ((1, 4, 4, 3), (1, 3, 3, 4), (4,))]
        )
