"""int16 activations against TensorFlow Lite Micro: every operator that has them there, through the import."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from tflite_case import check_case, import_case, int16, ints
from tflm import TensorSpec

from mcugen.ops import OPS
from mcugen.read.tflite_context import OperatorFault

NONE = {"fused_activation_function": "NONE"}
SOFT = 1 / 32768


def weights(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    axis: int,
    x_scale: float,
    bias: str,
    per_axis: bool = True,
) -> tuple[list[TensorSpec], float]:
    """Weights and bias, and an output scale that fits their sums."""
    channels = shape[axis]
    scales = [float(np.float32(s)) for s in 2.0 ** rng.uniform(-9, -3, channels if per_axis else 1)]
    w = rng.integers(-127, 128, shape).astype(np.int8)
    b = rng.integers(-(2**18), 2**18, channels)
    taps = w.size // channels
    y_scale = x_scale * max(scales) * 40.0 * np.sqrt(taps)
    specs = [
        TensorSpec(shape, "int8", scales, axis=axis, data=w),
        TensorSpec((channels,), bias, [x_scale * s for s in scales], data=b),
    ]
    return specs, float(np.float32(y_scale))


@pytest.mark.parametrize("bias", ["int64", "int32"])
@pytest.mark.parametrize("activation", ["NONE", "RELU", "RELU6"])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (4, 2)])
def test_convolution(bias: str, activation: str, padding: str, kernel: tuple[int, int]) -> None:
    rng = np.random.default_rng(sum(kernel))
    for stride, channels in (((1, 1), 5), ((2, 1), 16)):
        given, scale = weights(rng, (7, *kernel, channels), 0, 0.001, bias)
        h, w = (
            -(-9 // s) if padding == "SAME" else -(-(9 - k + 1) // s)
            for k, s in zip(kernel, stride, strict=True)
        )
        options = {"padding": padding, "stride_h": stride[0], "stride_w": stride[1]}
        options |= {"dilation_h_factor": 1, "dilation_w_factor": 1, "fused_activation_function": activation}
        check_case("CONV_2D", options, [int16((1, 9, 9, channels)), *given], [int16((1, h, w, 7), scale)])


@pytest.mark.parametrize("multiplier", [1, 2])
@pytest.mark.parametrize("activation", ["NONE", "RELU6"])
def test_depthwise_convolution(multiplier: int, activation: str) -> None:
    rng = np.random.default_rng(5)
    given, scale = weights(rng, (1, 3, 3, 6 * multiplier), 3, 0.001, "int64")
    options = {"padding": "SAME", "stride_h": 1, "stride_w": 1, "depth_multiplier": multiplier}
    options |= {"dilation_h_factor": 1, "dilation_w_factor": 1, "fused_activation_function": activation}
    x, y = int16((1, 8, 7, 6)), int16((1, 8, 7, 6 * multiplier), scale)
    check_case("DEPTHWISE_CONV_2D", options, [x, *given], [y])


@pytest.mark.parametrize("bias", ["int64", "int32", None])
@pytest.mark.parametrize("per_axis", [True, False])
@pytest.mark.parametrize("depth", [3, 64, 900])
def test_fully_connected(bias: str | None, per_axis: bool, depth: int) -> None:
    rng = np.random.default_rng(depth)
    if bias == "int32" and depth > 500:
        pytest.skip("TFLM's sums may overflow")
    given, scale = weights(rng, (11, depth), 0, 0.001, bias or "int64", per_axis)
    operands = [int16((3, depth)), given[0], given[1] if bias else None]
    options = {**NONE, "weights_format": "DEFAULT", "keep_num_dims": False}
    check_case("FULLY_CONNECTED", options, operands, [int16((3, 11), scale)])


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("activation", ["NONE", "RELU"])
def test_transposed_convolution(padding: str, activation: str) -> None:
    rng = np.random.default_rng(6)
    given, scale = weights(rng, (5, 3, 3, 4), 0, 0.001, "int64")
    size = 8 if padding == "SAME" else 9
    options = {"padding": padding, "stride_h": 2, "stride_w": 2, "fused_activation_function": activation}
    operands = [ints(1, size, size, 5), given[0], int16((1, 4, 4, 4)), given[1]]
    check_case("TRANSPOSE_CONV", options, operands, [int16((1, size, size, 5), scale)])


@pytest.mark.parametrize("adjoint", [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("depth", [3, 40])
def test_product_of_matrices(adjoint: tuple[bool, bool], depth: int) -> None:
    a, b = ((2, depth, 7) if adjoint[0] else (2, 7, depth)), ((2, 5, depth) if adjoint[1] else (2, depth, 5))
    operands = [int16((1, *a), 0.001), int16((1, *b), 0.0005)]
    y = int16((1, 2, 7, 5), 0.001 * 0.0005 * 12000.0 * np.sqrt(depth))
    check_case("BATCH_MATMUL", {"adj_x": adjoint[0], "adj_y": adjoint[1]}, operands, [y])


@pytest.mark.parametrize("op", ["ADD", "SUB", "MUL"])
@pytest.mark.parametrize(
    "shapes", [((1, 40, 50), (1, 40, 50)), ((1, 5, 1, 8), (1, 1, 6, 8)), ((1, 50), (1, 1))]
)
@pytest.mark.parametrize("scales", [(0.001, 0.001), (0.01, 0.0003)])
@pytest.mark.parametrize("activation", ["NONE", "RELU6"])
def test_two_operands(
    op: str, shapes: tuple[tuple[int, ...], ...], scales: tuple[float, float], activation: str
) -> None:
    y_scale = scales[0] * scales[1] * 20000.0 if op == "MUL" else sum(scales)
    y = int16(np.broadcast_shapes(*shapes), y_scale)
    operands = [int16(shape, scale) for shape, scale in zip(shapes, scales, strict=True)]
    check_case(op, {"fused_activation_function": activation}, operands, [y])


@pytest.mark.parametrize("op", ["MINIMUM", "MAXIMUM"])
def test_minimum_and_maximum(op: str) -> None:
    check_case(op, {}, [int16((1, 5, 6)), int16((1, 5, 6))], [int16((1, 5, 6))])


@pytest.mark.parametrize("op", ["MAX_POOL_2D", "AVERAGE_POOL_2D"])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("activation", ["NONE", "RELU6"])
def test_pooling(op: str, padding: str, activation: str) -> None:
    options = {"padding": padding, "stride_h": 2, "stride_w": 2, "filter_height": 3, "filter_width": 2}
    options["fused_activation_function"] = activation
    size = 5 if padding == "SAME" else 4
    check_case(op, options, [int16((1, 9, 9, 6))], [int16((1, size, size if padding == "SAME" else 4, 6))])


@pytest.mark.parametrize("axes", [(1, 2), (1,), (3,)])
@pytest.mark.parametrize("scale", [0.001, 0.0004])
def test_mean(axes: tuple[int, ...], scale: float) -> None:
    shape = (1, 7, 6, 9)
    y = tuple(1 if a in axes else d for a, d in enumerate(shape))
    check_case("MEAN", {"keep_dims": True}, [int16(shape), ints(list(axes))], [int16(y, scale)])


@pytest.mark.parametrize("depth", [2, 10, 100, 1000])
@pytest.mark.parametrize("scale", [0.00001, 0.0003, 0.003, 0.1, 2.0])
@pytest.mark.parametrize("beta", [1.0, 0.5])
def test_softmax(depth: int, scale: float, beta: float) -> None:
    x, y = int16((20, depth), scale), int16((20, depth), SOFT)
    check_case("SOFTMAX", {"beta": beta}, [x], [y])


@pytest.mark.parametrize("op", ["LOGISTIC", "TANH"])
@pytest.mark.parametrize(
    "scale", [2.0**-12, 2.0**-11, 2.0**-13, 2.0**-15, 0.0001, 0.00024, 0.001, 0.1, 1e-7, 2.6]
)
def test_sigmoid_and_tanh(op: str, scale: float) -> None:
    check_case(op, {}, [int16((1, 5000), scale)], [int16((1, 5000), SOFT)])


@pytest.mark.parametrize(
    ("op", "options"),
    [("RELU", {}), ("LEAKY_RELU", {"alpha": 0.1}), ("LEAKY_RELU", {"alpha": -1.5}), ("ABS", {})],
)
@pytest.mark.parametrize("scales", [(0.001, 0.001), (0.001, 0.0007), (0.0003, 0.01)])
def test_straight_lines(op: str, options: Mapping[str, Any], scales: tuple[float, float]) -> None:
    check_case(op, options, [int16((1, 5000), scales[0])], [int16((1, 5000), scales[1])])


def test_relu6_clamps() -> None:
    check_case("RELU6", {}, [int16((1, 5000))], [int16((1, 5000))])


def test_moves() -> None:
    x = int16((1, 4, 5, 3))
    check_case("PAD", {}, [x, ints([[0, 0], [1, 2], [0, 1], [0, 0]])], [int16((1, 7, 6, 3))])
    check_case("CONCATENATION", {**NONE, "axis": 3}, [x, int16((1, 4, 5, 2))], [int16((1, 4, 5, 5))])
    check_case("TRANSPOSE", {}, [x, ints(0, 3, 1, 2)], [int16((1, 3, 4, 5))])
    check_case("RESHAPE", {"new_shape": [1, 60]}, [x, ints(1, 60)], [int16((1, 60))])


@pytest.mark.parametrize("op", ["DIV", "SQUARED_DIFFERENCE", "PRELU"])
def test_operators_without_an_int16_form_are_refused(op: str) -> None:
    operands = [int16((1, 4, 4)), int16((1, 4, 4))]
    with pytest.raises(OperatorFault, match="int16, not int8"):
        import_case(op, NONE if op == "DIV" else {}, operands, [int16((1, 4, 4))])


def test_zero_points_and_mixed_types_are_refused() -> None:
    shape = (1, 8)
    moved = TensorSpec(shape, "int16", 0.001, 5)
    with pytest.raises(OperatorFault, match="zero point 0"):
        import_case("ADD", NONE, [int16(shape), moved], [int16(shape)])
    with pytest.raises(OperatorFault, match="beside int16"):
        import_case("ADD", NONE, [int16(shape), TensorSpec(shape, "int8", 0.1)], [int16(shape)])


def test_fixed_quantizations() -> None:
    graph = import_case("LOGISTIC", {}, [int16((1, 8))], [int16((1, 8), SOFT)])
    node, y = graph.nodes[0], graph.type(graph.outputs[0])
    assert OPS["unary"].fixed_quant(node, y.dtype) == y.quant
