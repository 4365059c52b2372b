"""Logarithm and inverse square root: close to the real functions over their whole range, exact where that is asked."""

from __future__ import annotations

import numpy as np

from mcugen.fixed import INT32_MAX, softmax_params
from mcugen.fixed_math import inverse_sqrt, log_of_sum, log_softmax_params


def test_log_of_sum_is_a_logarithm() -> None:
    x = np.unique(np.geomspace(1 << 19, INT32_MAX, 50_000).astype(np.int64))
    error = log_of_sum(x) / 2.0**26 - np.log(x / 2.0**19)
    assert np.abs(error).max() < 3e-6
    assert log_of_sum(1 << 19) == log_of_sum(np.array([1 << 19]))[0] and abs(log_of_sum(1 << 19)) < 64


def test_inverse_sqrt_is_one() -> None:
    x = np.unique(np.concatenate([np.arange(2, 3000), np.geomspace(2, INT32_MAX, 50_000).astype(np.int64)]))
    multiplier, shift = inverse_sqrt(x)
    assert np.all((shift <= 0) & (shift >= -31) & (multiplier > 0) & (multiplier <= INT32_MAX))
    relative = multiplier / 2.0**31 * 2.0**shift * np.sqrt(x) - 1.0
    assert np.abs(relative).max() < 2e-6
    for tiny in (0, 1):
        assert tuple(int(v) for v in inverse_sqrt(tiny)) == (INT32_MAX, 0)


def test_log_softmax_params_turn_softmax_params_round() -> None:
    for scale in (1e-6, 0.003, 0.5, 1.0, 30.0):
        multiplier, shift, _ = softmax_params(1.0, scale)
        back, right = log_softmax_params(multiplier, shift)
        product = multiplier / 2.0**31 * 2.0**shift * back / 2.0**31 * 2.0**right
        assert abs(product - 1.0) < 1e-8
    multiplier, shift, _ = softmax_params(1.0, 1e-9)  # which TFLM refuses
    assert log_softmax_params(multiplier, shift) == (INT32_MAX, 0)
