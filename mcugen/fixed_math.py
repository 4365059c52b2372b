"""Logarithm and inverse square root in fixed point, as mcugen/fixed.py: exact twins of runtime_c's C.

Sources of the formulas: LiteRT kernels/internal/common.h (log_x_for_x_greater_than_or_equal_to_1,
GetInvSqrtQuantizedMultiplierExp), kernels/internal/reference/log_softmax.h, micro/kernels/{elementwise,elu}.cc.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from mcugen.fixed import (
    ALL_INT8,
    INT32_MAX,
    INT32_MIN,
    Int8s,
    Ints,
    mbqm,
    one_over_one_plus_x_for_x_in_0_1,
    quantize_multiplier,
    rdbpot,
    round_half_away,
    saturating_rounding_multiply_by_pot,
    srdhm,
)

_LOG_2 = 1488522236  # Q0.31, as all of these
_SQRT_HALF = 1518500250
_FOURTH_ROOT_HALF = 1805811301
_ALPHA_N = 117049297  # 11/240 * 2^(1/4)
_ALPHA_D = 127690142  # 1/20 * 2^(1/4)
_ALPHA_I = 1057819769  # 2 * 2^(-1/4) - 2^(1/4)
_ALPHA_F = 638450708  # 1/4 * 2^(1/4)


def _leading_zeros(x: Ints) -> Ints:
    """Zero bits above the highest one of 0 < x < 2^31, as 32 bits."""
    return np.asarray(32 - np.frexp(x.astype(np.float64))[1].astype(np.int64))


def log_of_sum(x: ArrayLike) -> Ints:
    """Natural logarithm of x >= 1 in Q12.19, in Q5.26."""
    x = np.asarray(x, np.int64)
    assert np.all((x >= 1 << 19) & (x <= INT32_MAX))
    # The mantissa between 2^-3/4 and 2^1/4 times a constant, in two ways of which one fits; powers of 2 in Q6.25.
    above = _leading_zeros(x)
    mantissa_a = np.minimum(2 * srdhm(x << (above - 1), _SQRT_HALF), INT32_MAX)
    power_a = (12 - above) * (1 << 25) + (1 << 23)
    headroom = _leading_zeros(srdhm(x, _SQRT_HALF)) - 1
    mantissa_b = np.minimum(x << headroom, INT32_MAX)
    power_b = (12 - headroom) * (1 << 25) - (1 << 23)
    r = np.minimum(mantissa_a, mantissa_b)
    power = np.maximum(power_a, power_b)
    p = (r + _FOURTH_ROOT_HALF + 1) >> 1
    q = 2 * (r - _FOURTH_ROOT_HALF)
    square = srdhm(q, q)
    numerator = srdhm(q, r) + srdhm(srdhm(q, square), _ALPHA_N)
    denominator = srdhm(p, _ALPHA_I + q + srdhm(_ALPHA_D, square)) + srdhm(_ALPHA_F, q)
    quotient = srdhm(rdbpot(numerator, 6), one_over_one_plus_x_for_x_in_0_1(denominator))
    return saturating_rounding_multiply_by_pot(srdhm(power, _LOG_2) + quotient, 1)


def inverse_sqrt(x: ArrayLike) -> tuple[Ints, Ints]:
    """(multiplier, shift) of 1 / sqrt(x) for integers 0 <= x < 2^31, by five Newton-Raphson steps; 0 counts as 1."""
    x = np.asarray(x, np.int64)
    assert np.all((x >= 0) & (x <= INT32_MAX))
    value = np.maximum(x, 2)
    shift = np.full(value.shape, 11, np.int64)
    large = value >= 1 << 29
    value, shift = np.where(large, value // 4, value), shift + large
    pairs = (_leading_zeros(value) - 1) // 2 - 1
    value, shift = value << (2 * pairs), shift - pairs
    half = rdbpot(value >> 1, 1)  # Q3.28
    root = np.full(value.shape, 1 << 28, np.int64)
    for _ in range(5):
        cube = saturating_rounding_multiply_by_pot(srdhm(srdhm(root, root), root), 6)
        step = srdhm((1 << 28) + (1 << 27), root) - srdhm(half, cube)
        root = saturating_rounding_multiply_by_pot(step, 3)
    root = srdhm(root, _SQRT_HALF) << np.maximum(-shift, 0)
    return np.where(x <= 1, INT32_MAX, root), np.where(x <= 1, 0, -np.maximum(shift, 0))


def log_softmax_params(multiplier: int, shift: int) -> tuple[int, int]:
    """(multiplier, shift) from Q5.26 back to steps of the input, from those of softmax_params.

    TFLM aborts where this is 1 or more; we go on with almost 1, as no difference of int8 comes so far.
    """
    return quantize_multiplier(min(2.0 ** (31 - shift) / multiplier, 1.0 - 2.0**-31))


def abs_table(si: float, zi: int, so: float, zo: int) -> Int8s:
    """ABS of all 256 inputs (index q + 128)."""
    result = zo + mbqm(np.abs(ALL_INT8 - zi), *quantize_multiplier(si / so))
    return np.clip(result, -128, 127).astype(np.int8)


def elu_table(si: float, zi: int, so: float, zo: int) -> Int8s:
    """ELU (alpha 1) of all 256 inputs (index q + 128), in float32 as TFLM computes it; exp rounds once."""
    f32 = np.float32
    x = f32(si) * (ALL_INT8 - zi).astype(f32)
    with np.errstate(over="ignore"):
        below = np.exp(np.minimum(x, 0).astype(np.float64)).astype(f32) - f32(1)
        steps = np.where(x < 0, below, x).astype(f32) * (f32(1) / f32(so))
    rounded = round_half_away(np.clip(steps, f32(-(2.0**24)), f32(2.0**24)))
    return np.clip(rounded + zo, -128, 127).astype(np.int8)


def rsqrt_table(si: float, zi: int, so: float, zo: int) -> Int8s:
    """RSQRT of all 256 inputs (index q + 128): 127 for 0, and for negative numbers, where TFLM fails.

    The output's multiplier is 1 / (sqrt(si) * so), in float64.
    """
    x = ALL_INT8 - zi
    root, shift = inverse_sqrt(np.maximum(x, 1))
    data = mbqm(np.ones_like(x), root, shift + 20)
    multiplier, exponent = quantize_multiplier(1.0 / (float(np.sqrt(si)) * so))
    limit = INT32_MAX >> max(exponent - 20, 0)
    fitting = np.clip(data, INT32_MIN, limit)
    result = zo + mbqm(fitting, multiplier, max(exponent - 20, -31))
    return np.where(x <= 0, 127, np.clip(result, -128, 127)).astype(np.int8)
