"""unary: tables against TFLM where it has the function, else against their own definition and onnxruntime."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mcugen.ir import Array, Quant, TensorType
from mcugen.ops import OPS
from mcugen.ops.functions import FUNCTIONS, Expression, X, evaluate
from mcugen.ops.unary import clip_bounds
from tests.graphs import int8_type, one_node_graph
from tests.tflm import TensorSpec, run_tflm

ALL = np.arange(-128, 128).astype(np.int8).reshape(1, 256)
INF = math.inf
TFLM_FUNCTIONS = ("sigmoid", "tanh", "hard_swish", "leaky_relu", "clip", "abs", "elu", "rsqrt")


def reference(function: Expression, si: float, zi: int, so: float, zo: int) -> Array:
    graph = one_node_graph(
        "unary", [int8_type((1, 256), si, zi)], {"function": function}, int8_type((1, 256), so, zo)
    )
    (y,) = OPS["unary"].reference(graph.nodes[0], graph, [ALL])
    assert y.dtype == np.int8
    return y


def tflm(op: str, options: dict[str, float], si: float, zi: int, so: float, zo: int) -> Array:
    specs = [TensorSpec((1, 256), "int8", s, z) for s, z in ((si, zi), (so, zo))]
    return run_tflm(op, options, specs[:1], specs[1:], [ALL])[0]


@pytest.mark.parametrize(
    ("op", "function", "output"),
    [("LOGISTIC", ("sigmoid", X), (1 / 256, -128)), ("TANH", ("tanh", X), (1 / 128, 0))],
)
@pytest.mark.parametrize("scale", [1e-4, 0.004, 0.05, 0.1, 0.77, 30.0])
@pytest.mark.parametrize("zero_point", [-128, 3, 127])
def test_squashing_equals_tflm(
    op: str, function: Expression, output: tuple[float, int], scale: float, zero_point: int
) -> None:
    expected = tflm(op, {}, scale, zero_point, *output)
    np.testing.assert_array_equal(reference(function, scale, zero_point, *output), expected)


@pytest.mark.parametrize(
    ("op", "options", "function"),
    [
        ("HARD_SWISH", {}, ("hard_swish", X)),
        ("LEAKY_RELU", {"alpha": 0.1}, ("leaky_relu", X, float(np.float32(0.1)))),
        ("LEAKY_RELU", {"alpha": -2.5}, ("leaky_relu", X, -2.5)),
        ("RELU", {}, ("clip", X, 0.0, INF)),
        ("ABS", {}, ("abs", X)),
        ("ELU", {}, ("elu", X, 1.0)),
    ],
)
@pytest.mark.parametrize("ratio", [0.01, 0.3, 1.0, 1.3, 40.0])
def test_rescaling_functions_equal_tflm(
    op: str, options: dict[str, float], function: Expression, ratio: float, rng_seed: int
) -> None:
    rng = np.random.default_rng(rng_seed)
    for _ in range(4):
        so = float(rng.uniform(0.001, 0.1))
        zi, zo = (int(z) for z in rng.choice([-128, 127, *rng.integers(-128, 128, 4)], 2))
        expected = tflm(op, options, so * ratio, zi, so, zo)
        np.testing.assert_array_equal(reference(function, so * ratio, zi, so, zo), expected)


@pytest.mark.parametrize("zero_point", [-128, -20, 100])
@pytest.mark.parametrize("scale", [1e-4, 0.013, 0.9])
def test_rsqrt_equals_tflm_where_it_is_defined(scale: float, zero_point: int) -> None:
    x = np.arange(zero_point, 128).astype(np.int8).reshape(1, -1)
    for so in (0.02 / math.sqrt(scale), 0.3 / math.sqrt(scale)):
        specs = [TensorSpec(x.shape, "int8", s, z) for s, z in ((scale, zero_point), (so, -100))]
        (expected,) = run_tflm("RSQRT", {}, specs[:1], specs[1:], [x])
        y = reference(("rsqrt", X), scale, zero_point, so, -100)
        np.testing.assert_array_equal(y[:, zero_point + 128 :], expected)
        assert (y[:, : zero_point + 128] == 127).all()


def test_relu6_equals_tflm_where_nothing_is_rescaled() -> None:
    expected = tflm("RELU6", {}, 0.05, -10, 0.05, -10)
    np.testing.assert_array_equal(reference(("clip", X, 0.0, 6.0), 0.05, -10, 0.05, -10), expected)


def test_own_functions_round_half_away_from_zero() -> None:
    y = reference(("mul", X, 0.5), 1.0, 0, 1.0, 0)[0]
    np.testing.assert_array_equal(y[128 - 3 : 128 + 4], [-2, -1, -1, 0, 1, 1, 2])


@pytest.mark.parametrize("name", [n for n in FUNCTIONS if n not in TFLM_FUNCTIONS])
def test_own_functions_are_within_half_a_step(name: str) -> None:
    parameters = {"add": 1, "sub": 1, "mul": 1, "div": 1, "pow": 1, "max": 1, "min": 1}
    parameters |= {"hard_sigmoid": 2, "selu": 2, "shrink": 2, "elu": 1, "celu": 1, "thresholded_relu": 1}
    function = (name, X, *(0.25, 0.75)[: parameters.get(name, 0)])
    si, zi, so, zo = 0.0125, 17, 0.0101, -9
    y = reference(function, si, zi, so, zo)[0].astype(np.float64)
    real = evaluate(function, float(np.float32(si)) * (ALL[0].astype(np.float64) - zi))
    scale = float(np.float32(so))
    seen = np.isfinite(real) & (np.abs(real / scale + zo) < 127)
    assert seen.any()
    assert np.all(np.abs((y[seen] - zo) * scale - real[seen]) <= (0.5 + 1e-9) * scale)


def test_not_a_number_and_infinities_are_saturated() -> None:
    y = reference(("log", X), 0.1, 0, 0.05, 10)[0]
    assert np.all(y[:128] == 10)  # of negative numbers: not a number
    assert y[128] == -128  # of 0
    y = reference(("div", 1.0, X), 0.1, 0, 0.05, 10)[0]
    assert y[128] == 127


@pytest.mark.parametrize(
    "function",
    [("clip", X, 0.0, INF), ("leaky_relu", X, 0.1), ("leaky_relu", X, 1e9), ("hard_swish", X), ("exp", X)],
)
def test_extreme_scales_saturate(function: Expression) -> None:
    y = reference(function, 3e8, -128, 1e-6, -128)[0]
    assert y[0] == (127 if function[0] == "exp" else -128)
    assert np.all(y[1:] == 127)


def test_sigmoid_with_another_output_scale_is_a_plain_function() -> None:
    y = reference(("sigmoid", X), 0.1, 0, 1 / 128, 0)[0]
    assert y[128] == 64 and y[0] == 0 and y[-1] == 127


@pytest.mark.parametrize(
    ("function", "quant"),
    [
        (("sigmoid", ("mul", X, 2.0)), Quant((1 / 256,), (-128,))),
        (("tanh", X), Quant((1 / 128,), (0,))),
        (("mul", X, ("sigmoid", X)), None),
        (X, None),
    ],
)
def test_fixed_output_quantization(function: Expression, quant: Quant | None) -> None:
    graph = one_node_graph("unary", [TensorType((1, 2))], {"function": function}, TensorType((1, 2)))
    assert OPS["unary"].fixed_quant(graph.nodes[0]) == quant


@pytest.mark.parametrize(
    ("function", "bounds"),
    [
        (("clip", X, 0.0, 6.0), (0.0, 6.0)),
        (("clip", X, 0.0, INF), (0.0, INF)),
        (("clip", ("tanh", X), 0.0, 6.0), None),
        (("clip", X, X, 6.0), None),
        (("tanh", X), None),
        (X, None),
    ],
)
def test_clip_bounds(function: Expression, bounds: tuple[float, float] | None) -> None:
    graph = one_node_graph("unary", [TensorType((1, 2))], {"function": function}, TensorType((1, 2)))
    assert clip_bounds(graph.nodes[0]) == bounds


def test_float_reference_keeps_shape_and_type() -> None:
    x = np.linspace(-3, 3, 24, dtype=np.float32).reshape(2, 3, 4)
    for function in (("gelu", X), X, ("sub", 1.0, 3.0), ("exp", ("mul", X, 1e4))):
        graph = one_node_graph(
            "unary", [TensorType((1, 3, 4))], {"function": function}, TensorType((1, 3, 4))
        )
        (y,) = OPS["unary"].float_reference(graph.nodes[0], graph, [x])
        assert y.dtype == np.float32 and y.shape == x.shape
