"""Least squared error, clipped shares."""

from __future__ import annotations

import numpy as np
import pytest

from mcugen.calibrate.histogram import BINS, clipped_share, histograms, mse_range
from mcugen.ir import Array
from mcugen.ops.op import activation_quant, quantize_array

DISTRIBUTIONS = {
    "normal": lambda rng: rng.standard_normal(20_000),
    "laplace": lambda rng: rng.laplace(0, 1, 20_000),
    "far out": lambda rng: rng.standard_normal(20_000) ** 5,
    "uniform": lambda rng: rng.uniform(-1, 3, 20_000),
    "relu of normal": lambda rng: np.maximum(rng.standard_normal(20_000), 0),
    "negative": lambda rng: -np.abs(rng.standard_normal(20_000)) - 1,
    "one outlier": lambda rng: np.append(rng.uniform(-1, 1, 20_000), 40.0),
    "two values": lambda rng: rng.choice([0.0, 7.0], 20_000),
    "tiny": lambda rng: 1e-42 * rng.standard_normal(20_000),
    "huge": lambda rng: 1e37 * rng.standard_normal(20_000),
}


def _counted(values: Array) -> tuple[Array, tuple[float, float]]:
    limits = float(values.min()), float(values.max())
    return histograms([{"x": values}], {"x": limits})["x"], limits


def _error(values: Array, bounds: tuple[float, float]) -> float:
    quant = activation_quant(*bounds)
    real = (quantize_array(values, quant).astype(np.float64) - quant.zero_point[0]) * quant.scale[0]
    return float(np.mean(np.square((values - real) / np.abs(values).max())))


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_squared_error_is_never_above_that_of_min_max(name: str) -> None:
    values = DISTRIBUTIONS[name](np.random.default_rng(0)).astype(np.float32)
    counts, limits = _counted(values)
    assert counts.sum() == values.size
    found = mse_range(counts, limits)
    assert _error(values, found) <= 1.01 * _error(values, limits)  # bins stand for the values in them
    assert min(limits[0], 0.0) <= found[0] <= found[1] <= max(limits[1], 0.0) or found == limits


def test_clipping_pays_where_a_few_values_lie_far_out() -> None:
    values = np.random.default_rng(0).laplace(0, 1, 1_000_000)
    counts, limits = _counted(values)
    found = mse_range(counts, limits)
    assert _error(values, found) < 0.9 * _error(values, limits)
    assert found[0] > limits[0] and found[1] < limits[1]


def test_each_end_is_found_on_its_own() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.uniform(-1, 1, 1_000_000), [8.0]])
    counts, limits = _counted(values)
    lo, hi = mse_range(counts, limits)
    assert lo < -0.9 and 0.9 < hi < 4.0


def test_the_share_of_clipped_values() -> None:
    values = np.random.default_rng(0).uniform(-1, 1, 50_000)
    counts, limits = _counted(values)
    assert clipped_share(counts, limits, (-0.5, 0.9)) == pytest.approx(0.3, abs=0.01)
    assert clipped_share(counts, limits, limits) == 0.0
    assert clipped_share(np.zeros(BINS, np.int64), (3.0, 3.0), (0.0, 3.0)) == 0.0
