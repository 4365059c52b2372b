"""Fixed-point arithmetic: the numpy twin of runtime_c/mcugen_fixed.h, and the tables that are baked from it.

Bit-identical with TensorFlow Lite Micro's reference kernels, that is with gemmlowp's double rounding. Values
are int64 arrays that hold int32 (or int16) numbers; every function is exact and broadcasts. "Qm.n" has m
integer and n fractional bits: real = raw / 2^n. Where TFLM's result is undefined in C, or it refuses or
aborts, the docstring says what we do. Sources of the formulas: gemmlowp fixedpoint/fixedpoint.h; LiteRT
kernels/internal/quantization_util.cc, common.cc, reference/{softmax,hard_swish,leaky_relu}.h and
reference/integer_ops/{logistic,tanh}.h. Scales are float32 values, multipliers are computed from them in
float64: so does the build that the tests compare with, where older sources have float32 for some operators.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ints = NDArray[np.int64]
Int8s = NDArray[np.int8]

INT32_MIN, INT32_MAX = -(1 << 31), (1 << 31) - 1
ALL_INT8 = np.arange(-128, 128, dtype=np.int64)  # a table's entry q + 128 belongs to ALL_INT8[q + 128] == q


def round_half_away(x: ArrayLike) -> Ints:
    """Nearest integer of finite float32 or float64 numbers, half away from zero; exact up to 2^63."""
    values = np.asarray(x)
    assert values.dtype.kind == "f" and np.all(np.abs(values) < 2.0**63)
    whole = np.trunc(values)
    up = np.abs(values - whole) >= 0.5  # the difference is exact, unlike floor(x + 0.5)
    return np.asarray(whole.astype(np.int64) + np.where(up, np.sign(values), 0).astype(np.int64))


def quantize_real(real: ArrayLike, scale: float, zero_point: int, dtype: str) -> NDArray[Any]:
    """Integers of real values as the C computes them, in float32: round(real / scale) + zero point, clamped to the
    type; NaN becomes the zero point."""
    limits = np.iinfo(dtype)
    span = float(limits.max) - float(limits.min)
    with np.errstate(all="ignore"):
        scaled = np.asarray(real, np.float32) / np.float32(scale)
    scaled = np.clip(np.nan_to_num(scaled, nan=0.0, posinf=span, neginf=-span), -span, span)
    return np.clip(round_half_away(scaled) + zero_point, limits.min, limits.max).astype(dtype)


def dequantize_real(q: NDArray[Any], scale: float, zero_point: int) -> NDArray[np.float32]:
    """float32 values of integers as the C computes them."""
    return np.asarray(np.float32(scale) * (q.astype(np.int32) - zero_point).astype(np.float32))


def quantize_multiplier(d: float) -> tuple[int, int]:
    """(q, shift) with d ~ q / 2^31 * 2^shift and 2^30 <= |q| < 2^31; (0, 0) for 0 and below about 2^-32."""
    mantissa, shift = math.frexp(d)
    q = int(round_half_away(np.float64(mantissa * (1 << 31))))
    if abs(q) == 1 << 31:
        q //= 2
        shift += 1
    return (0, 0) if q == 0 or shift < -31 else (q, shift)


def srdhm(a: ArrayLike, b: ArrayLike) -> Ints:
    """a * b / 2^31, half towards +infinity; INT32_MIN^2 saturates (a rounding doubling high multiply)."""
    product: Ints = np.asarray(a, np.int64) * np.asarray(b, np.int64)
    return np.asarray(np.minimum((product + (1 << 30)) >> 31, INT32_MAX))


def rdbpot(x: ArrayLike, exponent: ArrayLike) -> Ints:
    """Rounding divide by a power of two, half away from zero; 0 <= exponent <= 31."""
    x, exponent = np.asarray(x, np.int64), np.asarray(exponent, np.int64)
    mask = (1 << exponent) - 1
    return np.asarray((x >> exponent) + ((x & mask) > (mask >> 1) + (x < 0)))


def mbqm(x: ArrayLike, q: ArrayLike, s: ArrayLike) -> Ints:
    """Multiply int32 x by q / 2^31 * 2^s, rounding twice; -31 <= s <= 31, q and s scalars or per channel.

    x * 2^s must fit int32 where s > 0, which is asserted: TFLM's result is undefined there.
    """
    s = np.asarray(s, np.int64)
    shifted = np.asarray(x, np.int64) << np.maximum(s, 0)
    assert np.all((shifted >= INT32_MIN) & (shifted <= INT32_MAX)), "a left shift leaves int32"
    return rdbpot(srdhm(shifted, q), np.maximum(-s, 0))


def saturating_mbqm(x: ArrayLike, q: ArrayLike, s: ArrayLike) -> Ints:
    """mbqm of an output's accumulator, s <= 30: a left shift saturates at int32, where TFLM's is undefined."""
    limit = INT32_MAX >> np.maximum(np.asarray(s, np.int64), 0)
    return mbqm(np.clip(np.asarray(x, np.int64), -limit - 1, limit), q, s)


def mbqm64(x: ArrayLike, q: ArrayLike, s: ArrayLike) -> Ints:
    """Multiply |x| < 2^47 (64-bit accumulators of int16 layers) by q / 2^31 * 2^s, rounding once, half up.

    The multiplier is first reduced to 16 bits; q >= 0, -31 <= s < 8. That the result fits int32 is asserted.
    """
    result = saturating_mbqm64(x, q, s)
    assert np.all(np.asarray(s) < 8) and np.all((result > INT32_MIN) & (result < INT32_MAX)), (
        "the result leaves int32"
    )
    return result


def reduced_multiplier(q: ArrayLike) -> Ints:
    """The upper 16 bits of a multiplier, rounded, which is what 64-bit sums are multiplied by."""
    q = np.asarray(q, np.int64)
    return np.asarray(np.where(q < 0x7FFF0000, (q + (1 << 15)) >> 16, 0x7FFF))


def saturating_mbqm64(x: ArrayLike, q: ArrayLike, s: ArrayLike) -> Ints:
    """mbqm64 of an output's accumulator, s <= 14: what leaves int32 saturates, where TFLM's is undefined."""
    x, q, s = np.asarray(x, np.int64), np.asarray(q, np.int64), np.asarray(s, np.int64)
    assert np.all(q >= 0) and np.all((s >= -31) & (s <= 14)) and np.all((x >= -(1 << 47)) & (x < 1 << 47))
    result = (x * reduced_multiplier(q) + (1 << (14 - s))) >> (15 - s)
    return np.asarray(np.clip(result, INT32_MIN, INT32_MAX))


def activation_range(
    lo: float, hi: float, scale: float, zero_point: int, qmin: int = -128, qmax: int = 127
) -> tuple[int, int]:
    """The quantized bounds of a fused clamp to [lo, hi] (infinite: no bound); TFLM divides in float32."""

    def bound(real: float) -> int:
        with np.errstate(over="ignore"):
            quotient = np.float32(real) / np.float32(scale)
        # Far outside of the integer type is as good as at its limit.
        return min(max(zero_point + int(round_half_away(np.clip(quotient, -(2.0**40), 2.0**40))), qmin), qmax)

    return bound(lo), bound(hi)


def calculate_input_radius(integer_bits: int, left_shift: int, total_signed_bits: int = 31) -> int:
    """The largest |difference| that stays inside the fixed-point format after the left shift."""
    largest = ((1 << integer_bits) - 1) << (total_signed_bits - integer_bits)
    return math.floor(math.ldexp(largest, -left_shift))


def saturating_rounding_multiply_by_pot(x: ArrayLike, exponent: int) -> Ints:
    """x * 2^exponent in int32: saturating to the left, rounding half away from zero to the right."""
    if exponent < 0:
        return rdbpot(x, -exponent)
    return np.asarray(np.clip(np.asarray(x, np.int64) << exponent, INT32_MIN, INT32_MAX))


# exp(-2^k) in Q0.31, by k.
_EXP_OF_MINUS_POWER = {
    -2: 1672461947,
    -1: 1302514674,
    0: 790015084,
    1: 290630308,
    2: 39332535,
    3: 720401,
    4: 242,
}
_EXP_OF_MINUS_EIGHTH = 1895147668  # Q0.31
_ONE_THIRD = 715827883  # Q0.31
_48_OVER_17 = 1515870810  # Q2.29
_MINUS_32_OVER_17 = -1010580540  # Q2.29
_ONE_Q2 = 1 << 29


def _exp_between_minus_quarter_and_0(a: Ints) -> Ints:
    """exp of Q0.31 in [-1/4, 0): the Taylor series to the fourth power around -1/8, in Q0.31."""
    x = a + (1 << 28)
    x2 = srdhm(x, x)
    x3 = srdhm(x2, x)
    x4 = srdhm(x2, x2)
    tail = rdbpot(srdhm(rdbpot(x4, 2) + x3, _ONE_THIRD) + x2, 1)
    return _EXP_OF_MINUS_EIGHTH + srdhm(_EXP_OF_MINUS_EIGHTH, x + tail)


def exp_on_negative_values(a: ArrayLike, integer_bits: int = 5) -> Ints:
    """exp of a <= 0 with at most 5 integer bits (softmax: Q5.26), in Q0.31; 1 is 2^31 - 1."""
    assert 0 <= integer_bits <= 5
    a = np.asarray(a, np.int64)
    fraction_bits = 31 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    low = (a & (quarter - 1)) - quarter  # in [-1/4, 0)
    result = _exp_between_minus_quarter_and_0(saturating_rounding_multiply_by_pot(low, integer_bits))
    rest = low - a  # a multiple of 1/4: one factor per bit
    for power in range(-2, integer_bits):
        factor = _EXP_OF_MINUS_POWER[power]
        result = np.where(rest & (1 << (fraction_bits + power)), srdhm(result, factor), result)
    return np.where(a == 0, INT32_MAX, result)


def _reciprocal_of_half_sum(a: ArrayLike) -> Ints:
    """2 / (1 + a) for Q0.31 in [0, 1), in Q2.29, by three Newton-Raphson steps."""
    half_sum = (np.asarray(a, np.int64) >> 1) + (1 << 30)
    x = _48_OVER_17 + srdhm(half_sum, _MINUS_32_OVER_17)
    for _ in range(3):
        x = x + saturating_rounding_multiply_by_pot(srdhm(x, _ONE_Q2 - srdhm(half_sum, x)), 2)
    return x


def one_over_one_plus_x_for_x_in_0_1(a: ArrayLike) -> Ints:
    """1 / (1 + a) for Q0.31 in [0, 1), in Q0.31."""
    return saturating_rounding_multiply_by_pot(_reciprocal_of_half_sum(a), 1)


def one_minus_x_over_one_plus_x_for_x_in_0_1(a: ArrayLike) -> Ints:
    """(1 - a) / (1 + a) for Q0.31 in [0, 1), in Q0.31."""
    return saturating_rounding_multiply_by_pot(_reciprocal_of_half_sum(a) - _ONE_Q2, 2)


def get_reciprocal(x: ArrayLike, integer_bits: int) -> tuple[Ints, Ints]:
    """(r, n) with 1 / x ~ r / 2^31 / 2^n for positive x with that many integer bits."""
    x = np.asarray(x, np.int64)
    assert np.all((x > 0) & (x <= INT32_MAX))
    leading_zeros = 32 - np.frexp(x.astype(np.float64))[1].astype(np.int64)
    return one_over_one_plus_x_for_x_in_0_1((x << leading_zeros) - (1 << 31)), integer_bits - leading_zeros


def logistic(a: ArrayLike, integer_bits: int = 4) -> Ints:
    """1 / (1 + exp(-a)), by default of Q4.27, in Q0.31."""
    a = np.asarray(a, np.int64)
    positive = one_over_one_plus_x_for_x_in_0_1(exp_on_negative_values(-np.abs(a), integer_bits))
    return np.where(a == 0, 1 << 30, np.where(a > 0, positive, INT32_MAX - positive))


def tanh(a: ArrayLike, integer_bits: int = 4) -> Ints:
    """tanh(a), by default of Q4.27, in Q0.31."""
    a = np.asarray(a, np.int64)
    # The same raw number with one more integer bit is twice the value.
    size = one_minus_x_over_one_plus_x_for_x_in_0_1(exp_on_negative_values(-np.abs(a), integer_bits + 1))
    return np.asarray(np.sign(a) * size)


def softmax_params(beta: float, input_scale: float) -> tuple[int, int, int]:
    """(input_multiplier, input_shift, diff_min) of an int8 softmax: differences below diff_min count as 0,
    the others are scaled to Q5.26.

    TFLM aborts where beta * input_scale <= 2^-26; we go on with a right shift.
    """
    scaled = beta * input_scale * 2.0**26
    multiplier, shift = quantize_multiplier(min(scaled, 2.0**31 - 1))
    return multiplier, shift, -calculate_input_radius(5, shift)


def softmax_int8(x: Int8s, input_multiplier: int, input_shift: int, diff_min: int) -> Int8s:
    """Softmax along the last axis of int8 [..., depth], depth < 4096; scale 1/256, zero point -128.

    TFLM aborts where the exponentials sum to 512 or more; we give 0 (-128), which is nearest then.
    """
    difference = x.astype(np.int64) - x.max(axis=-1, keepdims=True)
    counted = difference >= diff_min
    scaled = mbqm(np.where(counted, difference, 0), input_multiplier, input_shift)
    exps = exp_on_negative_values(scaled)
    total = np.where(counted, rdbpot(exps, 12), 0).sum(axis=-1, keepdims=True)  # Q12.19
    reciprocal, bits_over_unit = get_reciprocal(total, 12)
    exponent = bits_over_unit + 31 - 8
    result = np.where(exponent <= 31, rdbpot(srdhm(reciprocal, exps), np.minimum(exponent, 31)), 0)
    return np.clip(np.where(counted, result - 128, -128), -128, 127).astype(np.int8)


def _squashing_input(scale: float, zero_point: int) -> tuple[Ints, Ints, int]:
    """What LOGISTIC and TANH compute first, for the 256 entries: q - zero_point, the same in Q4.27
    (0 where they saturate), and the radius from which on they do.

    Below a scale of 2^-28 TFLM shifts by a negative number (undefined); we go on with a right shift.
    """
    multiplier, shift = quantize_multiplier(scale * 2.0**27)
    radius = calculate_input_radius(4, shift)
    x = ALL_INT8 - zero_point
    return x, mbqm(np.where(np.abs(x) < radius, x, 0), multiplier, shift), radius


def logistic_table(scale: float, zero_point: int) -> Int8s:
    """LOGISTIC of all 256 inputs (index q + 128); the result has scale 1/256, zero point -128."""
    x, scaled, radius = _squashing_input(scale, zero_point)
    result = np.clip(rdbpot(logistic(scaled), 23) - 128, -128, 127)
    return np.where(x <= -radius, -128, np.where(x >= radius, 127, result)).astype(np.int8)


def tanh_table(scale: float, zero_point: int) -> Int8s:
    """TANH of all 256 inputs (index q + 128); the result has scale 1/128, zero point 0."""
    x, scaled, radius = _squashing_input(scale, zero_point)
    result = np.clip(rdbpot(tanh(scaled), 24), -128, 127)
    return np.where(x <= -radius, -128, np.where(x >= radius, 127, result)).astype(np.int8)


def _rescale(x: Ints, d: float) -> Ints:
    """mbqm by d >= 0 of a table's inputs; saturates where TFLM's left shift overflows (d beyond 2^22)."""
    q, shift = quantize_multiplier(d)
    return mbqm(saturating_rounding_multiply_by_pot(x, min(max(shift, 0), 31)), q, min(shift, 0))


def relu_table(si: float, zi: int, so: float, zo: int, lo: float = 0.0, hi: float = math.inf) -> Int8s:
    """RELU of all 256 inputs (index q + 128), or any clamp to [lo, hi] that also rescales.

    TFLM's RELU6 does not rescale; with equal scales and zero points this is the same.
    """
    result = zo + _rescale(ALL_INT8 - zi, si / so)
    return np.clip(result, *activation_range(lo, hi, so, zo)).astype(np.int8)


def leaky_relu_table(si: float, zi: int, so: float, zo: int, alpha: float) -> Int8s:
    """LEAKY_RELU of all 256 inputs (index q + 128); alpha, a float32 value, may be negative or above 1."""
    x = ALL_INT8 - zi
    identity = _rescale(x, si / so)
    slope = si * alpha / so
    scaled = _rescale(x, abs(slope))
    result: Ints = zo + np.where(x >= 0, identity, -scaled if slope < 0 else scaled)
    return np.clip(result, -128, 127).astype(np.int8)


def hard_swish_table(si: float, zi: int, so: float, zo: int) -> Int8s:
    """HARD_SWISH of all 256 inputs (index q + 128), in int16 arithmetic.

    TFLM refuses si / so >= 128; we go on with a saturating left shift.
    """
    to_output, output_exponent = _int16_multiplier(si / 128 / so)
    to_relu, relu_exponent = _int16_multiplier(si / 128 / (3 / 32768))
    x = (ALL_INT8 - zi) << 7
    on_output_scale = _srdhm16(x, to_output)
    # On this scale 3.0 would be 2^15: it saturates to 2^15 - 1.
    relu = _saturating_shift_left16(x, max(relu_exponent - 1, 0))
    relu = _srdhm16(relu, to_relu)
    relu = _saturating_shift_left16(relu, min(max(relu_exponent, 0), 1))
    relu = (_rdbpot16(relu, max(-relu_exponent, 0)) + (1 << 15)) >> 1
    product = relu * on_output_scale
    product = np.sign(product) * (np.abs(product) >> 15)  # towards zero
    product = _saturating_shift_left16(product, max(output_exponent, 0))
    result: Ints = zo + _rdbpot16(product, max(-output_exponent, 0))
    return np.clip(result, -128, 127).astype(np.int8)


def _int16_multiplier(d: float) -> tuple[int, int]:
    q, shift = quantize_multiplier(d)
    return min((q + (1 << 15)) >> 16, (1 << 15) - 1), shift


def _srdhm16(a: Ints, b: int) -> Ints:
    return np.asarray(np.minimum((a * b + (1 << 14)) >> 15, (1 << 15) - 1))


def _saturating_shift_left16(x: Ints, amount: int) -> Ints:
    return np.asarray(np.clip(x << min(amount, 16), -(1 << 15), (1 << 15) - 1))


def _rdbpot16(x: Ints, exponent: int) -> Ints:
    """gemmlowp's rounding shift of int16: from an exponent of 16 on its mask wraps, which gives 1 or -1."""
    return rdbpot(x, exponent) if exponent < 16 else np.where(x < 0, -1, 1)
