"""fully_connected: the integer reference against TFLM, Gemm and MatMul against onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import int8_type, one_node_graph, random_int8
from onnx import helper
from onnx_case import check_case, import_case, onnx_model, operators
from tflm import TensorSpec, run_tflm

from mcugen.errors import ModelError, UnsupportedError
from mcugen.ir import DType, Quant, Tensor, TensorType
from mcugen.ops import OPS


@pytest.mark.parametrize(("rows", "depth", "channels"), [(1, 640, 12), (3, 7, 5), (1, 1, 1), (6, 33, 2)])
@pytest.mark.parametrize("activation", ["NONE", "RELU6"])
def test_equals_tflm(rows: int, depth: int, channels: int, activation: str, rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    clamp = (0.0, 6.0) if activation == "RELU6" else (-np.inf, np.inf)
    for zx, zy in ((-128, -128), (127, 12), (-3, 90)):
        sx, sy = (float(np.float32(s)) for s in rng.uniform(0.01, 0.3, 2))
        scales = tuple(float(np.float32(s)) for s in rng.uniform(0.0005, 0.1, channels))
        weights = rng.integers(-127, 128, (channels, depth)).astype(np.int8)
        bias = rng.integers(-20000, 20000, channels).astype(np.int32)
        x_type, y_type = int8_type((rows, depth), sx, zx), int8_type((rows, channels), sy, zy)
        operands = [
            x_type,
            Tensor("w", TensorType(weights.shape, DType.INT8, Quant(scales, (0,) * channels, 0)), weights),
            Tensor("b", TensorType(bias.shape, DType.INT32), bias),
        ]
        graph = one_node_graph("fully_connected", operands, {"clamp": clamp}, y_type)
        x = random_int8(rng, x_type.shape)
        (y,) = OPS["fully_connected"].reference(graph.nodes[0], graph, [x, weights, bias])
        (expected,) = run_tflm(
            "FULLY_CONNECTED",
            {"fused_activation_function": activation},
            [
                TensorSpec(x_type.shape, "int8", sx, zx),
                TensorSpec(weights.shape, "int8", scales, [0] * channels, axis=0, data=weights),
                TensorSpec(bias.shape, "int32", [sx * s for s in scales], data=bias),
            ],
            [TensorSpec(y_type.shape, "int8", sy, zy)],
            [x],
        )
        np.testing.assert_array_equal(y, expected)
        assert OPS["fully_connected"].macs(graph.nodes[0], graph) == rows * channels * depth


def weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(7).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("c", [None, (), (5,), (1, 5), (3, 5), (3, 1)])
@pytest.mark.parametrize(("trans_a", "trans_b"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_gemm(c: tuple[int, ...] | None, trans_a: int, trans_b: int) -> None:
    attrs = dict(transA=trans_a, transB=trans_b, alpha=0.5, beta=2.0)
    operands = ["x", "w"] if c is None else ["x", "w", "c"]
    x = (4, 3) if trans_a else (3, 4)
    constants = {"w": weights(5, 4) if trans_b else weights(4, 5)}
    if c is not None:
        constants["c"] = weights(*c)
    graph = check_case(helper.make_node("Gemm", operands, ["y"], **attrs), {"x": x}, constants)
    assert ("add" in operators(graph)) == (c in ((3, 5), (3, 1)))


@pytest.mark.parametrize("c", [None, (5,), (3, 1), (3, 5)])
@pytest.mark.parametrize(("trans_a", "trans_b"), [(0, 0), (1, 1)])
def test_gemm_with_a_constant_left_factor(c: tuple[int, ...] | None, trans_a: int, trans_b: int) -> None:
    operands = ["w", "x"] if c is None else ["w", "x", "c"]
    constants = {"w": weights(4, 3) if trans_a else weights(3, 4)}
    if c is not None:
        constants["c"] = weights(*c)
    node = helper.make_node("Gemm", operands, ["y"], transA=trans_a, transB=trans_b)
    check_case(node, {"x": (5, 4) if trans_b else (4, 5)}, constants)


@pytest.mark.parametrize(("c", "opset"), [((3, 5), 7), ((5,), 9), ((1, 1), 13)])
def test_gemm_with_a_computed_bias(c: tuple[int, ...], opset: int) -> None:
    node = helper.make_node("Gemm", ["x", "w", "c"], ["y"])
    check_case(node, {"x": (3, 4), "c": c}, {"w": weights(4, 5)}, opset=opset)


@pytest.mark.parametrize(
    ("x", "w"),
    [
        ((1, 4), (4, 5)),
        ((1, 6, 4), (4, 5)),
        ((2, 3, 6, 4), (4, 5)),
        ((6, 4), (1, 1, 4, 5)),
        ((1, 6, 4), (1, 4, 5)),
        ((1, 6, 4), (4,)),
        ((4,), (4, 5)),
        ((4,), (1, 4, 5)),
        ((4,), (4,)),
    ],
)
def test_matmul(x: tuple[int, ...], w: tuple[int, ...]) -> None:
    check_case(helper.make_node("MatMul", ["x", "w"], ["y"]), {"x": x}, {"w": weights(*w)})


@pytest.mark.parametrize(
    ("w", "x"),
    [
        ((5, 4), (4, 6)),
        ((5, 4), (1, 4, 6)),
        ((1, 1, 5, 4), (4, 6)),
        ((4,), (1, 4, 6)),
        ((5, 4), (4,)),
        ((1, 5, 4), (4,)),
        ((4,), (4, 3)),
    ],
)
def test_matmul_with_a_constant_left_factor(w: tuple[int, ...], x: tuple[int, ...]) -> None:
    check_case(helper.make_node("MatMul", ["w", "x"], ["y"]), {"x": x}, {"w": weights(*w)})


def test_what_is_not_supported() -> None:
    beta = helper.make_node("Gemm", ["x", "w", "c"], ["y"], beta=2.0)
    with pytest.raises(UnsupportedError, match="beta 2"):
        import_case(onnx_model([beta], {"x": (1, 4), "c": (1, 5)}, {"w": weights(4, 5)}, ["y"], 17))


@pytest.mark.parametrize(("op", "w"), [("Gemm", (5, 4)), ("Gemm", (5,)), ("MatMul", (5, 4)), ("MatMul", ())])
def test_shapes_that_do_not_fit(op: str, w: tuple[int, ...]) -> None:
    node = helper.make_node(op, ["x", "w"], ["y"])
    with pytest.raises(ModelError, match="product|matrices"):
        import_case(onnx_model([node], {"x": (1, 4)}, {"w": weights(*w)}, ["y"], 17))


def test_samples_need_an_axis_of_their_own() -> None:
    for shape, batchable in (((1, 4), True), ((4,), False)):
        types = [TensorType(shape), TensorType((5, 4)), TensorType((5,))]
        graph = one_node_graph("fully_connected", types, {}, TensorType((*shape[:-1], 5)))
        assert OPS["fully_connected"].batchable(graph.nodes[0], graph) is batchable
