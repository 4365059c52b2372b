"""batch_matmul: against TFLM, imports against onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import one_node_graph
from halves import telling_scales
from onnx import helper
from onnx_case import check_case, operators
from tflite_case import check_case as check_tflite
from tflite_case import int8
from tflm import TensorSpec

from mcugen.ir import TensorType
from mcugen.normalise import normalise
from mcugen.ops import OPS

SHAPES = [
    ((1, 5, 7), (1, 7, 3)),
    ((5, 7), (7, 3)),
    ((1, 4, 5, 7), (1, 4, 7, 3)),
    ((1, 4, 5, 7), (1, 1, 7, 3)),
    ((1, 1, 5, 7), (1, 4, 7, 3)),
    ((3, 5, 7), (7, 2)),
    ((2, 1, 5, 7), (1, 3, 7, 2)),
    ((1, 2, 3, 4, 5), (1, 2, 1, 5, 6)),
]


def turned(shape: tuple[int, ...], turn: bool) -> tuple[int, ...]:
    return (*shape[:-2], shape[-1], shape[-2]) if turn else shape


@pytest.mark.parametrize(("a", "b"), SHAPES)
@pytest.mark.parametrize(("adj_x", "adj_y"), [(False, False), (True, False), (False, True), (True, True)])
def test_equals_tflm(a: tuple[int, ...], b: tuple[int, ...], adj_x: bool, adj_y: bool, rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    out = (*np.broadcast_shapes(a[:-2], b[:-2]), a[-2], b[-1])
    options = {"adj_x": adj_x, "adj_y": adj_y}
    za, zb, zy = (int(z) for z in rng.choice([-128, 127, *rng.integers(-128, 128, 4)], 3))
    left, right = int8(turned(a, adj_x), 0.05, za), turned(b, adj_y)
    check_tflite("BATCH_MATMUL", options, [left, int8(right, 0.03, zb)], [int8(out, 0.4, zy)])
    for zero in (zb, 0):  # with 0 it may be a dense layer
        constant = TensorSpec(right, "int8", 0.03, zero, data=rng.integers(-128, 128, right))
        check_tflite("BATCH_MATMUL", options, [left, constant], [int8(out, 0.02, zy)])


def test_a_constant_matrix_is_a_dense_layer() -> None:
    for shape, zero, op in (((1, 7, 3), 0, "fully_connected"), ((1, 7, 3), 1, "batch_matmul")):
        constant = TensorSpec(shape, "int8", 0.03, zero, data=np.arange(21).reshape(shape))
        options = {"adj_x": False, "adj_y": False}
        graph = check_tflite("BATCH_MATMUL", options, [int8((1, 5, 7)), constant], [int8((1, 5, 3))])
        assert operators(graph) == [op]


def test_a_dense_layer_with_computed_weights_equals_tflm() -> None:
    options = {"fused_activation_function": "RELU", "keep_num_dims": False, "weights_format": "DEFAULT"}
    for zero_point in (0, 5):
        inputs = [int8((2, 7)), int8((3, 7), 0.04, zero_point), None]
        graph = check_tflite("FULLY_CONNECTED", options, inputs, [int8((2, 3), 0.3)])
        assert operators(graph) == ["batch_matmul"]


def test_the_multiplier_is_float64(rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    every = np.broadcast_to(np.arange(-128, 128), (1, 2, 256))
    options = {"adj_x": False, "adj_y": False}
    for a, b, y in telling_scales(lambda a, b, y: a * b / y, 12, rng):
        constant = TensorSpec(every.shape, "int8", b, 0, data=every)
        check_tflite(
            "BATCH_MATMUL", options, [int8((1, 256, 2), a, 0), constant], [int8((1, 256, 256), y, 0)]
        )


ONNX_SHAPES = [
    *SHAPES,
    ((1, 4, 5, 7), (7,)),
    ((7,), (1, 4, 7, 3)),
    ((1, 7), (1, 7, 3)),
    ((7,), (7,)),
]


@pytest.mark.parametrize(("a", "b"), ONNX_SHAPES)
@pytest.mark.parametrize("opset", [9, 13])
def test_import_of_activations(a: tuple[int, ...], b: tuple[int, ...], opset: int) -> None:
    node = helper.make_node("MatMul", ["x", "z"], ["y"])
    assert "batch_matmul" in operators(check_case(node, {"x": a, "z": b}, opset=opset))


@pytest.mark.parametrize("constant", ["x", "z"])
def test_import_of_a_batch_of_constant_matrices(constant: str, rng_seed: int) -> None:
    shapes = {"x": (1, 4, 5, 7), "z": (1, 4, 7, 3)}
    data = np.random.default_rng(rng_seed).standard_normal(shapes.pop(constant)).astype(np.float32)
    node = helper.make_node("MatMul", ["x", "z"], ["y"])
    assert "batch_matmul" in operators(check_case(node, shapes, {constant: data}))


@pytest.mark.parametrize("turns", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_import_of_gemm(turns: tuple[int, int], rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    inputs = {"x": turned((5, 7), bool(turns[0])), "z": turned((7, 3), bool(turns[1]))}
    node = helper.make_node(
        "Gemm", ["x", "z", "c"], ["y"], transA=turns[0], transB=turns[1], alpha=0.5, beta=2.0
    )
    for shape in ((3,), (5, 1), (5, 3)):
        c = rng.standard_normal(shape).astype(np.float32)
        assert "batch_matmul" in operators(check_case(node, inputs, {"c": c}))
    node = helper.make_node("Gemm", ["x", "z", "c"], ["y"], transA=turns[0], transB=turns[1])
    check_case(node, {**inputs, "c": (5, 3)})


def test_attention_normalises() -> None:
    """softmax(q k') v of two heads, as exporters write it."""
    nodes = [
        helper.make_node("Transpose", ["k"], ["t"], perm=[0, 1, 3, 2]),
        helper.make_node("MatMul", ["q", "t"], ["s"]),
        helper.make_node("Softmax", ["s"], ["p"]),
        helper.make_node("MatMul", ["p", "v"], ["y"]),
    ]
    shape = (1, 2, 6, 4)
    graph = normalise(check_case(nodes, {"q": shape, "k": shape, "v": shape}))
    assert operators(graph) == ["batch_matmul", "softmax", "batch_matmul"]
    assert [n.attrs.get("adj_y") for n in graph.nodes] == [True, None, False]


def test_shapes_that_do_not_fit() -> None:
    attrs = {"adj_x": False, "adj_y": False}
    for a, b in (((1, 2, 3), (1, 2, 3)), ((1, 2, 3), (3, 2)), ((1, 1, 33026), (1, 33026, 1))):
        types = [TensorType(a), TensorType(b)]
        graph = one_node_graph("batch_matmul", types, attrs, TensorType((1, 2, 2)))
        with pytest.raises(ValueError, match="product"):
            OPS["batch_matmul"].infer(graph.nodes[0], types)
