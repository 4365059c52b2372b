"""Figures of merit over samples: classes, agreement, accuracy, signal to quantization noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mcugen.ir import Array


class Noise:
    """Signal and noise summed up over chunks of samples, in float64."""

    def __init__(self) -> None:
        self.signal = 0.0
        self.noise = 0.0

    def add(self, exact: Array, values: Array) -> None:
        """Arrays of one shape; what is no number or infinite on either side is left out."""
        exact, values = exact.astype(np.float64), values.astype(np.float64)
        known = np.isfinite(exact) & np.isfinite(values)
        exact, values = exact[known], values[known]
        self.signal += float(np.sum(np.square(exact)))
        self.noise += float(np.sum(np.square(exact - values)))

    def join(self, other: Noise) -> None:
        """Add what another has summed up."""
        self.signal += other.signal
        self.noise += other.noise

    @property
    def ratio(self) -> float:
        """Signal to noise in dB: inf without noise, -inf without signal."""
        if self.noise == 0.0:
            return float("inf")
        return 10.0 * float(np.log10(self.signal / self.noise)) if self.signal > 0.0 else float("-inf")


def top1(outputs: Array) -> Array | None:
    """Index of the largest of each sample's outputs [N, ...], the first among equals; None if there is only one."""
    flat = outputs.reshape(len(outputs), -1)
    return flat.argmax(axis=1) if flat.shape[1] > 1 else None


def share(a: Array | None, b: Array | None) -> float | None:
    """From 0 to 1, how many entries are equal; None where one side is missing."""
    return None if a is None or b is None else float(np.mean(a == b))


def class_numbers(labels: Array | None, count: int, output: Sequence[int]) -> tuple[Array | None, list[str]]:
    """Class numbers [count] from labels [count, ...], one-hot rows among them; else None and a note that says why."""
    if labels is None:
        return None, []
    classes = int(np.prod(output))
    why = ""
    if classes < 2:
        why = "the model's first output is a single number"
    elif labels.dtype.kind not in "biuf":
        why = f"they are {labels.dtype}: class numbers are needed"
    elif labels.ndim == 2 and labels.shape[1] == classes:
        labels = labels.argmax(axis=1)
    elif labels.size != count:
        why = f"they have the shape {list(labels.shape)}, class numbers have [{count}]"
    if why:
        return None, [f"labels are not scored: {why}"]
    numbers = labels.reshape(count)
    low, high = numbers.min(), numbers.max()
    if not np.isfinite(low + high) or (numbers != np.floor(numbers)).any() or low < 0 or high >= classes:
        why = f"class numbers go from 0 to {classes - 1}, these from {low} to {high}"
        return None, [f"labels are not scored: {why}"]
    return numbers.astype(np.int64), []
