"""The whole-tensor functions of mcugen.fixed against TFLM, byte for byte; and the oracle itself."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tflm import TensorSpec, TflmError, run_tflm

from mcugen import fixed

Array = np.ndarray[Any, Any]

ALL = fixed.ALL_INT8.astype(np.int8)[None]


@pytest.fixture
def rng(rng_seed: int) -> np.random.Generator:
    return np.random.default_rng(rng_seed)


def scales(rng: np.random.Generator, low: float, high: float, count: int) -> list[float]:
    """float32 values between 2^low and 2^high, powers of two among them."""
    powers = rng.uniform(low, high, count)
    powers[::8] = np.round(powers[::8])
    return [float(np.float32(2**p)) for p in powers]


def zero_points(rng: np.random.Generator, count: int) -> list[int]:
    return [-128, 127, 0, *map(int, rng.integers(-128, 128, count - 3))]


def oracle_table(op: str, si: float, zi: int, so: float, zo: int, **options: float) -> Array:
    """TFLM's outputs for the inputs -128 .. 127."""
    inputs, outputs = [TensorSpec((1, 256), "int8", si, zi)], [TensorSpec((1, 256), "int8", so, zo)]
    return np.ravel(run_tflm(op, options, inputs, outputs, [ALL])[0])


# A scale below 2^-28 is undefined in TFLM's LOGISTIC and TANH (a shift by a negative number).
def test_logistic_and_tanh_tables(rng: np.random.Generator) -> None:
    for scale, zero in zip(scales(rng, -27, 10, 150), zero_points(rng, 150), strict=True):
        expected = oracle_table("LOGISTIC", scale, zero, 1 / 256, -128)
        np.testing.assert_array_equal(fixed.logistic_table(scale, zero), expected)
        expected = oracle_table("TANH", scale, zero, 1 / 128, 0)
        np.testing.assert_array_equal(fixed.tanh_table(scale, zero), expected)


def relu_draws(rng: np.random.Generator, count: int) -> Iterator[tuple[float, int, float, int, float]]:
    """Input and output quantization and alpha. Two of three output scales make many results halves of an
    integer, where multipliers computed in float32 and in float64 give different results."""
    alphas = rng.uniform(-2, 2, count).astype(np.float32)
    zi, zo = zero_points(rng, count), zero_points(rng, count)[::-1]
    for i, (si, so) in enumerate(zip(scales(rng, -8, 4, count), scales(rng, -8, 4, count), strict=True)):
        half = 2 * rng.integers(1, 20) / (2 * rng.integers(1, 20) + 1)
        halves = (so, si * half, si * abs(float(alphas[i])) * half)
        yield si, zi[i], float(np.float32(halves[i % 3])), zo[i], float(alphas[i])


def test_relu_tables(rng: np.random.Generator) -> None:
    for si, zi, so, zo, alpha in relu_draws(rng, 300):
        quants = (si, zi, so, zo)
        np.testing.assert_array_equal(fixed.relu_table(*quants), oracle_table("RELU", *quants))
        expected = oracle_table("LEAKY_RELU", *quants, alpha=alpha)
        np.testing.assert_array_equal(fixed.leaky_relu_table(*quants, alpha), expected)


def test_relu6_tables(rng: np.random.Generator) -> None:
    """RELU6 neither rescales nor takes a 6 that lies above 127; an equal clamp gives the same."""
    for scale, zero in zip(scales(rng, -4, 4, 50), zero_points(rng, 50), strict=True):
        if zero + round(6 / scale) <= 127:
            expected = oracle_table("RELU6", scale, zero, scale, zero)
            np.testing.assert_array_equal(fixed.relu_table(scale, zero, scale, zero, 0.0, 6.0), expected)


@pytest.mark.parametrize("low, high", [(-12, 5), (-30, -8)])
def test_hard_swish_tables(rng: np.random.Generator, low: int, high: int) -> None:
    """Both ranges of input scales: shifts of 16 and more bits have their own rounding."""
    compared = 0
    draws = zip(
        scales(rng, low, high, 150),
        zero_points(rng, 150),
        scales(rng, -10, 5, 150),
        zero_points(rng, 150)[::-1],
        strict=True,
    )
    for si, zi, so, zo in draws:
        if si / so < 127:  # TFLM refuses 128 and more
            expected = oracle_table("HARD_SWISH", si, zi, so, zo)
            np.testing.assert_array_equal(fixed.hard_swish_table(si, zi, so, zo), expected)
            compared += 1
    assert compared > 100


def test_hard_swish_multiplier_at_halves(rng: np.random.Generator) -> None:
    """Output scales with the 16-bit multiplier between two integers, where float32 would take the other."""
    for si in scales(rng, -8, 2, 200):
        multiplier = (int(rng.integers(2**14, 2**15)) + 0.5) / 2 ** int(rng.integers(15, 20))
        so = float(np.float32(si / 128 / multiplier))
        expected = oracle_table("HARD_SWISH", si, 0, so, 0)
        np.testing.assert_array_equal(fixed.hard_swish_table(si, 0, so, 0), expected)


def oracle_softmax(x: Array, scale: float, beta: float, isolated: bool = False) -> Array:
    inputs, outputs = [TensorSpec(x.shape, "int8", scale, 3)], [TensorSpec(x.shape, "int8", 1 / 256, -128)]
    return run_tflm("SOFTMAX", {"beta": beta}, inputs, outputs, [x], isolated)[0]


# TFLM aborts where beta * scale <= 2^-26, and where the exponentials sum to 512 or more.
def test_softmax(rng: np.random.Generator) -> None:
    depths = [1, 2, 3, 10, 511, *map(int, rng.integers(1, 512, 75))]
    for scale, depth in zip(scales(rng, -24, 20, 80), depths, strict=True):
        beta = float(rng.choice([1.0, 0.5, float(np.float32(2.3))]))
        x = rng.integers(-128, 128, (6, depth)).astype(np.int8)
        x[1] = x[1, 0]
        x[2] = np.where(x[2] < 0, -128, 127)
        x[3] = np.clip(x[3], -3, 3)
        actual = fixed.softmax_int8(x, *fixed.softmax_params(beta, scale))
        np.testing.assert_array_equal(actual, oracle_softmax(x, scale, beta))


def test_deep_softmax(rng: np.random.Generator) -> None:
    for scale, depth in zip(
        scales(rng, -4, 3, 10), [512, 1000, *map(int, rng.integers(512, 1001, 8))], strict=True
    ):
        x = rng.integers(-128, 128, (3, 4, depth)).astype(np.int8)
        x[..., 0] = 127
        actual = fixed.softmax_int8(x, *fixed.softmax_params(1.0, scale))
        np.testing.assert_array_equal(actual, oracle_softmax(x, scale, 1.0))


def test_an_abort_is_an_error() -> None:
    with pytest.raises(TflmError, match="aborted"):
        oracle_softmax(np.zeros((1, 512), np.int8), 0.1, 1.0, isolated=True)
    y = oracle_softmax(np.zeros((1, 4), np.int8), 0.1, 1.0, isolated=True)
    assert y.tolist() == [[-64] * 4]


def test_a_refusal_is_an_error() -> None:
    with pytest.raises(TflmError):
        oracle_table("LOGISTIC", 0.1, 0, 1 / 256, 0)


def test_activation_range(rng: np.random.Generator) -> None:
    """6 / scale near half an integer, where float32 and float64 would round differently."""
    halves = [float(np.float32(6 / (k + 0.5))) for k in range(1, 250, 3)]
    nearby = [
        float(np.nextafter(np.float32(s), np.float32(d))) for s, d in zip(halves, [0, 9] * 42, strict=False)
    ]
    x = np.array([[127, -128]], np.int8)
    for scale in halves + nearby:
        inputs = [TensorSpec((1, 2), "int8", 1.0, 0)] * 2
        options = {"fused_activation_function": "RELU6"}
        (y,) = run_tflm("ADD", options, inputs, [TensorSpec((1, 2), "int8", scale, -128)], [x, x])
        lo, hi = fixed.activation_range(0, 6, scale, -128)
        assert y.tolist() == [[min(hi, round(254 / scale) - 128), lo]]


# The oracle: every operator it claims runs, and gives what the operator means, within a unit of the output.

X = TensorSpec((1, 4, 6, 4), "int8", 0.05, 3)
WEIGHT_SCALES = [0.01, 0.02, 0.03, 0.04]


def constant(values: Any, dtype: str = "int32", scale: Any = None, axis: int = 0) -> TensorSpec:
    return TensorSpec(np.shape(values), dtype, scale, 0, axis, values)


def weights(*shape: int) -> Array:
    return (np.arange(math.prod(shape)) * 37 % 255 - 127).reshape(shape).astype(np.int8)


def int8(*shape: int, scale: float = 0.05, zero: int = 3) -> TensorSpec:
    return TensorSpec(shape, "int8", scale, zero)


def windows(x: Array, kernel: int) -> Array:
    """All full windows: [1, h, w, c, kernel, kernel]."""
    return np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), (1, 2))


BIAS_SCALES = [0.05 * s for s in WEIGHT_SCALES]
PER_CHANNEL = np.array(WEIGHT_SCALES)
BIAS = constant([100, -200, 300, 0], scale=BIAS_SCALES)
REAL_BIAS = np.array([100, -200, 300, 0]) * BIAS_SCALES
POOL = {"padding": "VALID", "filter_height": 2, "filter_width": 2, "stride_h": 1, "stride_w": 1}
STRIDES = {"padding": "VALID", "stride_h": 1, "stride_w": 1}
W_CONV, W_DEPTHWISE, W_DENSE = weights(4, 3, 3, 4), weights(1, 3, 3, 4), weights(4, 4)
CONV = [X, constant(W_CONV, "int8", WEIGHT_SCALES), BIAS]
DEPTHWISE = [X, constant(W_DEPTHWISE, "int8", WEIGHT_SCALES, 3), BIAS]
DENSE = [X, constant(W_DENSE, "int8", WEIGHT_SCALES), BIAS]
DENSE_ONE_SCALE = [X, constant(W_DENSE, "int8", 0.02), None]
STEPS = [constant(v) for v in ([0, 1, 0, 0], [1, 4, 6, 4], [1, 2, 1, 1])]
COARSE = int8(1, 2, 4, 4, scale=0.7)
SAME = int8(1, 4, 6, 4)


def real_conv(x: Array) -> Array:
    return np.asarray(np.einsum("nhwcij,oijc,o->nhwo", windows(x, 3), W_CONV, PER_CHANNEL) + REAL_BIAS)


def real_depthwise(x: Array) -> Array:
    products = np.einsum("nhwcij,ijc,c->nhwc", windows(x, 3), W_DEPTHWISE[0], PER_CHANNEL)
    return np.asarray(products + REAL_BIAS)


OPERATORS: dict[str, tuple[str, dict[str, Any], list[Any], list[TensorSpec], Any]] = {
    "conv": ("CONV_2D", STRIDES, CONV, [COARSE], real_conv),
    "depthwise": (
        "DEPTHWISE_CONV_2D",
        {**STRIDES, "depth_multiplier": 1},
        DEPTHWISE,
        [COARSE],
        real_depthwise,
    ),
    "dense": (
        "FULLY_CONNECTED",
        {"keep_num_dims": True},
        DENSE,
        [int8(1, 4, 6, 4, scale=0.3)],
        lambda x: x @ (W_DENSE.T * PER_CHANNEL) + REAL_BIAS,
    ),
    "dense, one scale": (
        "FULLY_CONNECTED",
        {"keep_num_dims": True},
        DENSE_ONE_SCALE,
        [int8(1, 4, 6, 4, scale=0.3)],
        lambda x: x @ (W_DENSE.T * 0.02),
    ),
    "add": ("ADD", {}, [X, X], [int8(1, 4, 6, 4, scale=0.1)], lambda x, y: x + y),
    "sub": ("SUB", {}, [X, X], [int8(1, 4, 6, 4, scale=0.1)], lambda x, y: x - y),
    "mul": ("MUL", {}, [X, X], [int8(1, 4, 6, 4, scale=0.3)], lambda x, y: x * y),
    "average": ("AVERAGE_POOL_2D", POOL, [X], [int8(1, 3, 5, 4)], lambda x: windows(x, 2).mean((4, 5))),
    "max": ("MAX_POOL_2D", POOL, [X], [int8(1, 3, 5, 4)], lambda x: windows(x, 2).max((4, 5))),
    "mean": ("MEAN", {}, [X, constant([1, 2])], [int8(1, 4, scale=0.01)], lambda x: x.mean((1, 2))),
    "mean, kept": (
        "MEAN",
        {"keep_dims": True},
        [X, constant([1, 2])],
        [int8(1, 1, 1, 4, scale=0.01)],
        lambda x: x.mean((1, 2), keepdims=True),
    ),
    "softmax": (
        "SOFTMAX",
        {"beta": 1.0},
        [X],
        [int8(1, 4, 6, 4, scale=1 / 256, zero=-128)],
        lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True),
    ),
    "logistic": (
        "LOGISTIC",
        {},
        [X],
        [int8(1, 4, 6, 4, scale=1 / 256, zero=-128)],
        lambda x: 1 / (1 + np.exp(-x)),
    ),
    "tanh": ("TANH", {}, [X], [int8(1, 4, 6, 4, scale=1 / 128, zero=0)], np.tanh),
    "hard swish": ("HARD_SWISH", {}, [X], [SAME], lambda x: x * np.clip(x + 3, 0, 6) / 6),
    "leaky relu": ("LEAKY_RELU", {"alpha": 0.1}, [X], [SAME], lambda x: np.where(x < 0, 0.1 * x, x)),
    "relu": ("RELU", {}, [X], [int8(1, 4, 6, 4, zero=-100)], lambda x: np.maximum(x, 0)),
    "relu6": ("RELU6", {}, [X], [SAME], lambda x: np.clip(x, 0, 6)),
    "quantize": ("QUANTIZE", {}, [X], [int8(1, 4, 6, 4, scale=0.07)], lambda x: x),
    "concatenation": (
        "CONCATENATION",
        {"axis": 3},
        [X, X],
        [int8(1, 4, 6, 8)],
        lambda x, y: np.concatenate([x, y], 3),
    ),
    "pad": (
        "PAD",
        {},
        [X, constant([[0, 0], [1, 2], [3, 0], [0, 0]])],
        [int8(1, 7, 9, 4)],
        lambda x: np.pad(x, [(0, 0), (1, 2), (3, 0), (0, 0)]),
    ),
    "reshape": ("RESHAPE", {}, [X, constant([1, 96])], [int8(1, 96)], lambda x: x.reshape(1, 96)),
    "transpose": (
        "TRANSPOSE",
        {},
        [X, constant([0, 3, 1, 2])],
        [int8(1, 4, 4, 6)],
        lambda x: x.transpose(0, 3, 1, 2),
    ),
    "strided slice": ("STRIDED_SLICE", {}, [X, *STEPS], [int8(1, 2, 6, 4)], lambda x: x[:, 1:4:2]),
    "split": (
        "SPLIT",
        {"num_splits": 2},
        [constant([3]), X],
        [int8(1, 4, 6, 2), int8(1, 4, 6, 2)],
        lambda x: np.split(x, 2, 3),
    ),
}


@pytest.mark.parametrize("case", OPERATORS)
def test_oracle_runs(case: str, rng: np.random.Generator) -> None:
    op, options, inputs, outputs, function = OPERATORS[case]
    fed = [spec for spec in inputs if spec is not None and spec.data is None]
    data = [rng.integers(-128, 128, spec.shape).astype(np.int8) for spec in fed]
    results = run_tflm(op, options, inputs, outputs, data)
    real = [spec.scale * (x.astype(float) - spec.zero_point) for spec, x in zip(fed, data, strict=True)]
    expected = function(*real)
    expected = expected if isinstance(expected, list) else [expected]
    for spec, y, wanted in zip(outputs, results, expected, strict=True):
        assert y.shape == spec.shape
        assert y.dtype == np.int8
        assert len(np.unique(y)) > 2
        quantized = np.clip(wanted / spec.scale + spec.zero_point, -128, 127)
        assert np.abs(y - quantized).max() <= 1.01
