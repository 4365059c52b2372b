"""Functions of int16 in fixed point: tables with interpolation. The twins in C are templates/kernels/*_int16.c.j2.

Sources of the formulas: LiteRT kernels/internal/common.h (LUTPopulateInt16, LUTLookup), reference/softmax.h
(SoftmaxInt16), reference/integer_ops/{logistic,tanh}.h, micro/kernels/{softmax_common,logistic_common,tanh}.cc.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcugen.fixed import Ints, mbqm, quantize_multiplier, round_half_away

Floats = NDArray[np.floating]
Int16s = NDArray[np.int16]

INT16_MIN, INT16_MAX = -(1 << 15), (1 << 15) - 1
STEPS = 512  # of a table's inputs; it has one entry more
FACTOR_LIMIT = (
    65535.0  # of steps of sigmoid's table per step of the input: products fit int32; TFLM's is 32767
)


def sampled(function: Callable[[Floats], Floats], points: Floats, outputs: float) -> Int16s:
    """int16 [513] for `lookup`: values of a function at 513 points, times `outputs`, less half of what a chord misses
    in its middle. In the points' float type. What is not a number counts as 0."""
    kind = points.dtype.type
    halves = ((points[1] - points[0]) / kind(2)).astype(points.dtype)

    def steps(x: Floats) -> Floats:
        with np.errstate(all="ignore"):
            y = np.asarray(np.broadcast_to(function(x), x.shape), points.dtype) * kind(outputs)
        return np.asarray(np.clip(np.where(np.isnan(y), kind(0), y), kind(-(2.0**20)), kind(2.0**20)))

    def rounded(x: Floats) -> Floats:
        return round_half_away(x).astype(points.dtype)

    ends = steps(points)
    samples = rounded(ends)
    chords = rounded((ends[1:] + samples[:-1]) / kind(2))
    errors = chords - rounded(steps((points[:-1] + halves).astype(points.dtype)))
    samples[:-1] -= rounded(errors / kind(2))
    return np.asarray(np.clip(samples, INT16_MIN, INT16_MAX).astype(np.int16))


def lookup(table: Int16s, x: ArrayLike) -> Ints:
    """The table between its entries: of int16 x the upper 9 bits choose, the lower 7 interpolate."""
    x, wide = np.asarray(x, np.int64), table.astype(np.int64)
    index = (x >> 7) + 256
    # slopes are int16 in TFLM: those of functions that jump by more wrap, ours do not
    return np.asarray(wide[index] + (((wide[index + 1] - wide[index]) * (x & 127) + 64) >> 7))


def softmax_tables() -> tuple[Int16s, Int16s]:
    """exp(x) for -10 <= x <= 0 and 1 / (1 + x) for 0 <= x <= 1, in Q0.15; computed in float32 as by TFLM."""
    f32 = np.float32
    full = f32(65535.0)
    outputs = f32(65536.0) / (f32(2.0) / full * f32(32767.0) - f32(2.0) / full * f32(-32768.0))

    def exp(x: Floats) -> Floats:
        return np.exp(x.astype(np.float64)).astype(f32)

    def one_over(x: Floats) -> Floats:
        return np.asarray(f32(1.0) / (f32(1.0) + x))

    low = f32(10.0) / full * f32(-65535.0)
    high = f32(1.0) / full * f32(65535.0)
    index = np.arange(STEPS + 1, dtype=f32)
    exps = sampled(exp, (low + index * ((f32(0) - low) / f32(STEPS))).astype(f32), float(outputs))
    ones = sampled(one_over, (index * (high / f32(STEPS))).astype(f32), float(outputs))
    return exps, ones


def softmax_int16_params(beta: float, input_scale: float) -> tuple[int, int]:
    """(multiplier, shift) of differences to the table of exponentials; so that they fit int32."""
    return quantize_multiplier(min(input_scale * beta / (10.0 / 65535.0), 2.0**14))


def softmax_int16(x: Int16s, multiplier: int, shift: int) -> Int16s:
    """Softmax along the last axis of int16 [..., depth], depth < 65536; scale 1/32768, zero point 0."""
    exp_table, one_over_table = softmax_tables()
    wide = x.astype(np.int64)
    scaled = mbqm(wide - wide.max(axis=-1, keepdims=True), multiplier, shift)
    exps = lookup(exp_table, np.clip(scaled + 32767, INT16_MIN, INT16_MAX))
    total = exps.sum(axis=-1, keepdims=True)  # Q16.15
    zeros = 32 - np.frexp(total.astype(np.float64))[1].astype(np.int64)
    shifted = ((total << (zeros - 1)) + (1 << 13)) >> 14
    reciprocal = lookup(one_over_table, np.clip(shifted - (1 << 15) - (1 << 16), INT16_MIN, INT16_MAX))
    right = 31 - zeros
    result = (exps * reciprocal + (1 << (right - 1))) >> right
    return np.asarray(np.clip(result, 0, INT16_MAX).astype(np.int16))


def sigmoid_table() -> Ints:
    """sigmoid(k / 24) * 2^16, k = 0 .. 255, raised by half of what a chord between two entries misses: so that linear
    interpolation errs as much to both sides. The last one, from which on tanh is constant, is 2^16 - 1.
    """
    y = 1.0 / (1.0 + np.exp(-np.arange(256) / 24.0))
    second_derivative = y * (1.0 - y) * (1.0 - 2.0 * y)
    table = np.floor((y - second_derivative / 24.0**2 / 16.0) * 2.0**16 + 0.5).astype(np.int64)
    table[255] = (1 << 16) - 1
    return np.asarray(table)


def sigmoid_factor(scale: float, powers: tuple[int, ...] = (-12,)) -> tuple[int, int]:
    """(multiplier, right shift) from int16 of a scale to 1/512 of the table's steps (sigmoid), or 1/256 (tanh), as TFLM
    chooses them: exact for some powers of 2, else 15 bits of the multiplier, rounded down."""
    mantissa, exponent = math.frexp(scale)
    if mantissa == 0.5 and exponent - 1 in powers:
        return 3 << (exponent - 1 + 12), 0
    factor, shift = min(scale * 4096.0 * 3.0, FACTOR_LIMIT), 0
    while factor <= 32767.0 / 2.0 and shift <= 30:
        factor, shift = factor * 2.0, shift + 1
    return int(factor), shift


def _scaled(x: ArrayLike, multiplier: int, shift: int) -> Ints:
    return np.asarray((np.asarray(x, np.int64) * multiplier + (1 << shift >> 1)) >> shift)


def _interpolated(place: Ints, bits: int, last: int) -> Ints:
    """The table at place / 2^bits >= 0, times 2^bits; `last` from its last entry on."""
    table = sigmoid_table()
    index = np.minimum(place >> bits, 254)
    between = (table[index] << bits) + (place & ((1 << bits) - 1)) * (table[index + 1] - table[index])
    return np.asarray(np.where(place >> bits >= 255, last, between))


def sigmoid_int16(x: ArrayLike, multiplier: int, shift: int) -> Ints:
    """int16 LOGISTIC, to Q0.15."""
    scaled = _scaled(x, multiplier, shift)
    result = _interpolated(np.abs(scaled), 9, 0x7FFF << 10)
    return np.asarray(np.where(scaled >= 0, result + (1 << 9), (1 << 25) - result + (1 << 9) - 1) >> 10)


def tanh_int16(x: ArrayLike, multiplier: int, shift: int) -> Ints:
    """int16 TANH as 2 sigmoid(2 x) - 1, to Q0.15."""
    scaled = _scaled(x, multiplier, shift)
    result = _interpolated(np.abs(scaled), 8, 0xFFFF << 8) - (1 << 23)
    return np.asarray(np.where(scaled >= 0, result + (1 << 7), -result + (1 << 7) - 1) >> 8)
