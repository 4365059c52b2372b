"""div: against TFLM where its result is defined, imports against onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import int8_constant, int8_type, one_node_graph
from onnx import helper
from onnx_case import check_case, operators
from tflite_case import import_case, int8
from tflm import TensorSpec, run_tflm

from mcugen.execute import run
from mcugen.normalise import normalise
from mcugen.ops import OPS
from mcugen.ops.div import multiplier

# (scale of a, of b, of y): usual, saturating, coarse
SCALES = [(0.05, 0.03, 0.05), (0.02, 0.3, 0.0005), (0.7, 0.011, 3.0), (0.01, 0.01, 1.5)]


def check_div(
    scales: tuple[float, ...],
    zeros: tuple[int, ...],
    a_shape: tuple[int, ...],
    divisors: np.ndarray,
    fused: str,
) -> None:
    """All bytes of TFLM's, but where it shifts by 32 or more, which is undefined: there we give a quotient of 0."""
    shape = np.broadcast_shapes(a_shape, divisors.shape)
    specs = [
        int8(a_shape, scales[0], zeros[0]),
        TensorSpec(divisors.shape, "int8", scales[1], zeros[1], data=divisors),
    ]
    output = int8(shape, scales[2], zeros[2])
    options = {"fused_activation_function": fused}
    graph = import_case("DIV", options, specs, [output])
    x = np.resize(np.arange(-128, 128), a_shape).astype(np.int8)
    (expected,) = run_tflm("DIV", options, specs, [output], [x])
    y = run(graph, {"x0": x})[graph.outputs[0]]
    dividend = np.abs(x.astype(np.int64) - zeros[0])
    divisor = np.abs(divisors.astype(np.int64) - zeros[1])
    # 2^31 / |dividend| < 2^headroom: its exponent, the divisor's and the multiplier's make the shift
    negative = ((x < zeros[0]) != (divisors < zeros[1])) & (dividend > 0)
    headroom = 31 - np.frexp((dividend - negative).astype(np.float64))[1]
    over_unit = np.frexp(divisor.astype(np.float64))[1] - 1
    defined = np.broadcast_to(headroom + over_unit - multiplier(graph.nodes[0], graph)[1] <= 31, shape)
    assert defined.mean() > 0.5
    np.testing.assert_array_equal(y[defined], expected[defined])
    assert np.all(y[~defined] == zeros[2])


@pytest.mark.parametrize("scales", SCALES)
def test_equals_tflm(scales: tuple[float, float, float], rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    for fused in ("NONE", "RELU6"):
        for zero in (-128, 127, 5):
            zeros = (int(rng.integers(-128, 128)), zero, int(rng.integers(-60, 60)))
            every = np.delete(np.arange(-128, 128), zero + 128).reshape(1, 1, 255)
            check_div(scales, zeros, (1, 256, 1), every, fused)
    check_div(scales, (3, -128, 0), (1, 8, 32, 3), np.array([5, 77, -100]).reshape(1, 1, 1, 3), "NONE")


def test_zero_counts_as_one_step() -> None:
    b = int8_constant(np.array([[7, 8, 6]]), 1.0, 7)
    graph = one_node_graph("div", [int8_type((1, 3), 1.0, 0), b], {}, int8_type((1, 3), 1.0, 0))
    (y,) = OPS["div"].reference(graph.nodes[0], graph, [np.full((1, 3), 50, np.int8), b.data])
    assert y.tolist() == [[50, 50, -50]]


@pytest.mark.parametrize("opset", [7, 14])
def test_import_of_a_computed_divisor(opset: int) -> None:
    nodes = [helper.make_node("Exp", ["z"], ["e"]), helper.make_node("Div", ["x", "e"], ["y"])]
    graph = check_case(nodes, {"x": (1, 3, 4, 2), "z": (4, 1)}, opset=opset)
    assert operators(graph)[-1] == "div"


def test_a_decomposed_swish_is_one_function() -> None:
    nodes = [
        helper.make_node("Neg", ["x"], ["n"]),
        helper.make_node("Exp", ["n"], ["e"]),
        helper.make_node("Add", ["e", "one"], ["s"]),
        helper.make_node("Div", ["x", "s"], ["y"]),
    ]
    graph = normalise(check_case(nodes, {"x": (1, 6)}, {"one": np.float32(1.0)}))
    assert [n.op for n in graph.nodes] == ["unary"]
    assert graph.nodes[0].attrs["function"] == ("silu", ("x",))
