"""What the cases of test_tflite_sweep.py are drawn from: shapes, scales, zero points at both ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tflite_case import int8
from tflm import TensorSpec

Case = tuple[Mapping[str, Any], Sequence[TensorSpec | None], Sequence[TensorSpec]]
Rng = np.random.Generator
ENDS = (-128, 127)
SCALES = (0.004, 0.11, 1.7)
RATIOS = (0.02, 0.4, 1.0, 1.9, 30.0)  # of the input's to the output's scale
ACTIVATIONS = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")
VECTORS = ((1, 1), (1, 37), (3, 8))
IMAGES = ((1, 1, 1, 1), (1, 5, 4, 3), (1, 7, 9, 2))
SHAPES = (*VECTORS, (1, 4, 6), *IMAGES, (1, 2, 1, 3, 4))


def zero_point(rng: Rng) -> int:
    """Either end in two of three draws."""
    return int(rng.choice([*ENDS, *ENDS, *rng.integers(-127, 127, 2)]))


def scale(rng: Rng) -> float:
    return float(np.float32(rng.choice(SCALES) * rng.uniform(0.5, 2.0)))


def activation(rng: Rng, shape: Sequence[int], step: float | None = None) -> TensorSpec:
    return int8(shape, scale(rng) if step is None else step, zero_point(rng))


def like(spec: TensorSpec, shape: Sequence[int]) -> TensorSpec:
    """Another tensor of the same scale and zero point."""
    assert isinstance(spec.scale, float) and isinstance(spec.zero_point, int)
    return int8(shape, spec.scale, spec.zero_point)


def rescaled(rng: Rng, spec: TensorSpec, shape: Sequence[int], ratio: float) -> TensorSpec:
    """An output whose scale is the input's divided by `ratio`."""
    assert isinstance(spec.scale, float)
    return activation(rng, shape, spec.scale / ratio)
