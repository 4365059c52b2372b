"""Functions of float32, bit for bit those of runtime_c/mcugen_float_math.h: every operation rounds once, as there.

Arguments are float32 arrays or scalars; numbers in the formulas are taken as float32. Which NaN a NaN is, is not
defined. Accuracies, in units in the last place, stand in tests/test_float_math.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from mcugen.ir import Array

INFINITY = np.float32(np.inf)
NAN = np.float32(np.nan)
_SIGN = np.uint32(0x80000000)
_SMALLEST_NORMAL = np.float32(1.17549435e-38)
_MAGIC = np.float32(12582912.0)  # 1.5 * 2^23: what is added to it becomes an integer
_LN2_HIGH, _LN2_LOW = np.float32(0.69335938), np.float32(2.1219444e-4)  # the difference is ln(2)
_DIGITS = np.array(  # of 2 / pi in binary: each word begins 8 bits later than the one before
    [
        *(0x00000000, 0x000000A2, 0x0000A2F9, 0x00A2F983, 0xA2F9836E, 0xF9836E4E, 0x836E4E44),
        *(0x6E4E4415, 0x4E441529, 0x441529FC, 0x1529FC27, 0x29FC2757, 0xFC2757D1, 0x2757D1F5),
        *(0x57D1F534, 0xD1F534DD, 0xF534DDC0, 0x34DDC0DB, 0xDDC0DB62, 0xC0DB6295, 0xDB629599),
        *(0x6295993C, 0x95993C43, 0x993C4390, 0x3C439041),
    ],
    np.uint64,
)


def _bits(x: Array) -> Array:
    return np.asarray(x, np.float32).view(np.uint32)


def _float(bits: Array) -> Array:
    return np.asarray(bits, np.uint32).view(np.float32)


def _horner(x: Array, *coefficients: float) -> Array:
    """A polynomial, the highest power's coefficient first."""
    result: Array = np.full(np.shape(x), coefficients[0], np.float32)
    for coefficient in coefficients[1:]:
        result = result * x + np.float32(coefficient)
    return result


# --- arithmetic ---


def add(a: Array, b: Array) -> Array:
    return a + b


def sub(a: Array, b: Array) -> Array:
    return a - b


def mul(a: Array, b: Array) -> Array:
    return a * b


def div(a: Array, b: Array) -> Array:
    return a / b


def squared_difference(a: Array, b: Array) -> Array:
    difference = a - b
    return np.asarray(difference * difference)


def neg(x: Array) -> Array:
    return -x


def sign(x: Array) -> Array:
    return np.where(x > 0, np.float32(1), np.where(x < 0, np.float32(-1), x))


def _with_sign(x: Array, y: Array) -> Array:
    """x for x >= 0 with the sign of y."""
    return _float(_bits(x) | (_bits(y) & _SIGN))


# --- bounds and pieces ---


def maximum(a: Array, b: Array) -> Array:
    return np.where(a < b, b, a)


def minimum(a: Array, b: Array) -> Array:
    return np.where(b < a, b, a)


def clip(x: Array, lo: Array | np.float32, hi: Array | np.float32) -> Array:
    return np.where(x < lo, lo, np.where(x > hi, hi, x))


def prelu(x: Array, slope: Array) -> Array:
    return np.where(x < 0, x * slope, x)


def thresholded_relu(x: Array, alpha: Array) -> Array:
    return np.where(x > alpha, x, np.float32(0))


def shrink(x: Array, lambd: Array, bias: Array) -> Array:
    return np.where(x < -lambd, x + bias, np.where(x > lambd, x - bias, np.float32(0)))


def hard_sigmoid(x: Array, alpha: Array, beta: Array) -> Array:
    return clip(alpha * x + beta, np.float32(0), np.float32(1))


def hard_swish(x: Array) -> Array:
    return x * (clip(x + np.float32(3), np.float32(0), np.float32(6)) * np.float32(0.16666667))


def softsign(x: Array) -> Array:
    return x / (np.float32(1) + np.abs(x))


def rounded(x: Array) -> Array:
    """To the nearest integer, halves to even."""
    size, large = np.abs(x), np.float32(8388608)
    return np.where(size < large, _with_sign((size + large) - large, x), x)


def floor(x: Array) -> Array:
    nearest = rounded(x)
    return np.where(nearest > x, nearest - np.float32(1), nearest)


def ceil(x: Array) -> Array:
    return -floor(-x)


# --- roots ---


def sqrt(x: Array) -> Array:
    return np.where(x < 0, NAN, np.sqrt(x))


def rsqrt(x: Array) -> Array:
    return np.float32(1) / sqrt(x)


# --- exponentials ---


def _power_of_2(n: Array) -> Array:
    return _float(((n + 127) << 23).astype(np.uint32))


def _exp_parts(x: Array) -> tuple[Array, Array]:
    """(part, n) of e^x = 2^n (1 + part), for |x| <= 104."""
    n = (x * np.float32(1.442695) + _MAGIC) - _MAGIC
    r = (x - n * _LN2_HIGH) + n * _LN2_LOW
    series = _horner(r, 0.0013881983, 0.008369154, 0.04166732, 0.16666517, 0.49999997)
    return r + r * r * series, n.astype(np.int32)


def exp(x: Array) -> Array:
    part, n = _exp_parts(np.where((x < 89) & (x >= -104), x, np.float32(0)))
    inside = (np.float32(1) + part) * _power_of_2(n // 2) * _power_of_2(n - n // 2)
    low = np.where(x < -104, np.float32(0), inside)
    return np.where(x < 89, low, np.where(x > 0, INFINITY, x))


def expm1(x: Array) -> Array:
    part, n = _exp_parts(np.where((x < 18) & (x >= -18), x, np.float32(0)))
    power = _power_of_2(n)
    low = np.where(x < -18, np.float32(-1), power * part + (power - np.float32(1)))
    return np.where(x < 18, low, exp(x))


def sigmoid(x: Array) -> Array:
    e, one = exp(-np.abs(x)), np.float32(1)
    return np.where(x < 0, e, one) / (one + e)


def tanh(x: Array) -> Array:
    size, one, two = np.abs(x), np.float32(1), np.float32(2)
    z = size * size
    series = _horner(z, -0.0057049785, 0.020639079, -0.053739712, 0.13331442, -0.3333328)
    far = np.where(size < 10, one - two / (exp(two * size) + one), np.where(size > 0, one, size))
    return _with_sign(np.where(size < np.float32(0.625), size + size * (z * series), far), x)


def silu(x: Array) -> Array:
    return x * sigmoid(x)


def elu(x: Array, alpha: Array) -> Array:
    return np.where(x < 0, alpha * expm1(x), x)


def selu(x: Array, alpha: Array, gamma: Array) -> Array:
    return gamma * elu(x, alpha)


def celu(x: Array, alpha: Array) -> Array:
    return np.where(x < 0, alpha * expm1(x / alpha), x)


def mish(x: Array) -> Array:
    e = exp(np.where(x < 20, x, np.float32(20)))
    n = e * (e + np.float32(2))
    return x * (n / (n + np.float32(2)))


def erf(x: Array) -> Array:
    size, one = np.abs(x), np.float32(1)
    near = (8.185091e-5, -8.0977025e-4, 0.005196952, -0.026857706, 0.11283664, -0.37612632, 0.12837917)
    far = (-2.1353299e-4, 0.0032113183, -0.022878611, 0.10524467, 0.6357309, 0.12851076)
    tail = one - exp(-(size + size * _horner(size, *far)))
    tail = np.where(size < 4, tail, np.where(size > 0, one, size))
    return _with_sign(np.where(size < np.float32(0.9375), size + size * _horner(size * size, *near), tail), x)


def gelu(x: Array) -> Array:
    return np.float32(0.5) * x * (np.float32(1) + erf(x * np.float32(0.70710677)))


def gelu_tanh(x: Array) -> Array:
    return x * sigmoid(np.float32(1.5957692) * (x + np.float32(0.044715) * (x * x * x)))


# --- logarithms ---


def log(x: Array) -> Array:
    inside = (x > 0) & (x < INFINITY)
    y = np.where(inside, x, np.float32(1))
    subnormal = y < _SMALLEST_NORMAL
    bits = _bits(np.where(subnormal, y * np.float32(16777216), y))
    f = _float((bits & np.uint32(0x7FFFFF)) | np.uint32(0x3F800000))
    exponent = (bits >> np.uint32(23)).astype(np.int32) - np.where(subnormal, 127 + 24, 127).astype(np.int32)
    above = f > np.float32(1.4142135)
    n = (exponent + above).astype(np.float32)
    f = np.where(above, f * np.float32(0.5), f) - np.float32(1)
    z = f * f
    high = (0.067466013, -0.11675641, 0.11888175, -0.12405591, 0.14219551)
    series = _horner(f, *high, -0.16667996, 0.20002119, -0.25000009, 0.33333313)
    rest = (f * z * series - n * _LN2_LOW) - np.float32(0.5) * z
    outside = np.where(x < 0, NAN, np.where(x == 0, -INFINITY, x))
    return np.where(inside, (f + rest) + n * _LN2_HIGH, outside)


def softplus(x: Array) -> Array:
    e, one = exp(-np.abs(x)), np.float32(1)
    total = one + e
    log1p = log(total) + (e - (total - one)) / total
    return np.asarray(np.where(x < 0, np.float32(0), x) + log1p)


# --- circles ---


def _quarters(x: Array) -> tuple[Array, Array]:
    """x >= 0.5 as quarters of a circle (modulo 4) and what is left."""
    bits = _bits(x).astype(np.uint64)
    window = (bits >> np.uint64(26)).astype(np.int64) - 15
    mantissa = ((bits & np.uint64(0x7FFFFF)) | np.uint64(0x800000)) << (
        (bits >> np.uint64(23)) & np.uint64(7)
    )
    half = np.uint64(1 << 61)
    turn: Array = (mantissa * _DIGITS[window]) << np.uint64(32)
    turn = turn + mantissa * _DIGITS[window + 4]
    turn = turn + ((mantissa * _DIGITS[window + 8]) >> np.uint64(32)) + half
    left = (turn & np.uint64(2 * (1 << 61) - 1)).astype(np.int64) - (1 << 61)
    return (turn >> np.uint64(62)).astype(np.uint32), left.astype(np.float32) * np.float32(3.4061215e-19)


def _sine(x: Array, quarters: int) -> Array:
    finite = x < INFINITY
    reduced = finite & (x > np.float32(0.78539819))
    number, left = _quarters(np.where(reduced, x, np.float32(1)))
    turns = np.where(reduced, number, np.uint32(0)) + np.uint32(quarters)
    rest = np.where(reduced, left, np.where(finite, x, np.float32(0)))
    z = rest * rest
    cosine = (np.float32(1) - np.float32(0.5) * z) + z * z * _horner(
        z, 2.4432784e-5, -0.0013887313, 0.041666646
    )
    sine = rest + rest * (z * _horner(z, -1.9514957e-4, 0.008332158, -0.16666655))
    result = np.where(turns & np.uint32(1) != 0, cosine, sine)
    return np.where(finite, np.where(turns & np.uint32(2) != 0, -result, result), NAN)


def sin(x: Array) -> Array:
    result = _sine(np.abs(x), 0)
    return np.where(_bits(x) & _SIGN != 0, -result, result)


def cos(x: Array) -> Array:
    return _sine(np.abs(x), 1)


def atan(x: Array) -> Array:
    size, one = np.abs(x), np.float32(1)
    far, middle = size > np.float32(2.4142137), size > np.float32(0.41421357)
    f = np.where(far, -one / size, np.where(middle, (size - one) / (size + one), size))
    base = np.where(far, np.float32(1.5707964), np.where(middle, np.float32(0.78539819), np.float32(0)))
    z = f * f
    series = _horner(z, -0.060759082, 0.10592943, -0.14243422, 0.19998465, -0.33333316)
    return _with_sign(base + (f + f * (z * series)), x)


# By the names that expressions (mcugen/ops/functions.py), operators and C (mcugen_f32_<name>) have for them.
FUNCTIONS: Mapping[str, Callable[..., Array]] = {
    "add": add,
    "sub": sub,
    "mul": mul,
    "div": div,
    "max": maximum,
    "min": minimum,
    "clip": clip,
    "squared_difference": squared_difference,
    "prelu": prelu,
    "neg": neg,
    "abs": np.abs,
    "sign": sign,
    "round": rounded,
    "floor": floor,
    "ceil": ceil,
    "sqrt": sqrt,
    "rsqrt": rsqrt,
    "exp": exp,
    "expm1": expm1,
    "log": log,
    "sigmoid": sigmoid,
    "tanh": tanh,
    "silu": silu,
    "hard_sigmoid": hard_sigmoid,
    "hard_swish": hard_swish,
    "leaky_relu": prelu,
    "thresholded_relu": thresholded_relu,
    "shrink": shrink,
    "softsign": softsign,
    "elu": elu,
    "selu": selu,
    "celu": celu,
    "mish": mish,
    "erf": erf,
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "softplus": softplus,
    "sin": sin,
    "cos": cos,
    "atan": atan,
}


def apply(name: str, *arguments: Array) -> Array:
    """A function's values in float32; no warnings."""
    with np.errstate(all="ignore"):
        return np.asarray(FUNCTIONS[name](*(np.asarray(a, np.float32) for a in arguments)))
