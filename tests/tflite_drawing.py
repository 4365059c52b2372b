"""A .tflite file as it grows by operators drawn at random: what the layers of random_tflite.py are made with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from tflite_model import Operator
from tflm import TensorSpec

Shape = tuple[int, ...]
SPREAD = 74.0  # the standard deviation of integers at random


def along(shape: Sequence[int], axis: int, *sizes: int) -> Shape:
    """The shape with other sizes, or none, in the place of an axis."""
    return (*shape[:axis], *sizes, *shape[axis + 1 :])


class Drawing:
    """Tensors and operators so far. `pool`: activations to go on from."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.tensors: list[TensorSpec] = []
        self.operators: list[Operator] = []
        self.pool: list[int] = []

    def some(self, *values: Any) -> Any:
        return values[self.rng.integers(len(values))]

    def upto(self, high: int, low: int = 1) -> int:
        """An integer from low to high."""
        return int(self.rng.integers(low, high + 1))

    def likely(self, chance: float) -> bool:
        return bool(self.rng.random() < chance)

    # --- tensors and operators ---

    def tensor(self, spec: TensorSpec) -> int:
        self.tensors.append(spec)
        return len(self.tensors) - 1

    def ints(self, values: Any) -> int:
        data = np.asarray(values, np.int32)
        return self.tensor(TensorSpec(data.shape, "int32", data=data))

    def shape(self, x: int) -> Shape:
        return self.tensors[x].shape

    def axis(self, x: int) -> int:
        """Any but the batch's."""
        return self.upto(len(self.shape(x)) - 1)

    def scale(self, x: int) -> float:
        scale = self.tensors[x].scale
        assert isinstance(scale, float)
        return scale

    def activation(self, shape: Sequence[int], scale: float) -> TensorSpec:
        """Of about this scale; its zero point is at either end now and then."""
        zero = self.some(-128, 127, *(self.upto(126, -127) for _ in range(4)))
        step = float(np.float32(scale * self.rng.uniform(0.4, 1.6)))
        return TensorSpec(tuple(int(d) for d in shape), "int8", step, zero)

    def like(self, x: int, shape: Sequence[int]) -> TensorSpec:
        return replace(self.tensors[x], shape=tuple(int(d) for d in shape), data=None)

    def copied(self, x: int, shape: Sequence[int]) -> TensorSpec:
        """What operators write that copy integers and look at no scale: it is another one now and then."""
        return self.activation(shape, self.scale(x)) if self.likely(0.1) else self.like(x, shape)

    def constant(self, spec: TensorSpec) -> int:
        return self.tensor(replace(spec, data=self.rng.integers(-128, 128, spec.shape)))

    def add(self, code: str, options: Mapping[str, Any], inputs: Sequence[int], *outputs: TensorSpec) -> int:
        """An operator; gives its last output."""
        made = [self.tensor(spec) for spec in outputs]
        self.operators.append((code, options, inputs, made))
        self.pool += made
        return made[-1] if made else -1

    def fitted(self, x: int, to: int) -> int:
        """x under the scale and the zero point of another tensor."""
        y = self.like(to, self.shape(x))
        same = (self.tensors[x].scale, self.tensors[x].zero_point) == (y.scale, y.zero_point)
        return x if same else self.add("QUANTIZE", {}, [x], y)

    def earlier(self, x: int, free: int | None = None) -> int:
        """An activation whose shape broadcasts with that of x, or differs from it along one axis alone."""
        shape = self.shape(x)

        def suits(other: Shape) -> bool:
            pairs = list(enumerate(zip(shape, other, strict=False)))
            fits = all(a == b or (i == free if free else 1 in (a, b)) for i, (a, b) in pairs)
            return len(shape) == len(other) and fits

        return self.some(*(i for i in self.pool if suits(self.shape(i))))

    def weights(self, shape: Sequence[int], axis: int, x: int, bias: bool) -> tuple[list[int], float]:
        """Weights and a bias or -1; a scale for the sums. Weights of 0 make outputs that are constant and inputs that
        nothing needs."""
        count, taps = shape[axis], math.prod(shape) / shape[axis]
        scales = [float(s) for s in self.rng.uniform(0.002, 0.02, count if self.likely(0.6) else 1)]
        data, b = self.rng.integers(-127, 128, shape), -1
        for channels in (0, -1):
            if self.likely(0.4):
                np.moveaxis(data, channels, 0)[self.rng.random(shape[channels]) < 0.5] = 0
        w = self.tensor(TensorSpec(tuple(shape), "int8", scales, axis=axis, data=data))
        if bias:
            numbers = self.rng.normal(0, 40 * SPREAD * math.sqrt(taps), count).astype(int)
            b = self.tensor(TensorSpec((count,), "int32", [self.scale(x) * s for s in scales], data=numbers))
        return [w, b], self.scale(x) * float(np.mean(scales)) * SPREAD * math.sqrt(taps)
