"""Scales that tell how a multiplier was computed: in float64, in float32, or in both ways."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from mcugen.fixed import quantize_multiplier

Ratio = Callable[[np.floating, np.floating, np.floating], np.floating]


def telling_scales(
    ratio: Ratio, count: int, rng: np.random.Generator, least: int = 8, most: int = 12
) -> Iterator[tuple[float, float, float]]:
    """(s_a, s_b, s_y), float32 values, whose ratio in float64 lies on the other side of k / 2^n than in float32.

    With products that are odd multiples of such fractions every output depends on the side. 2^-most to 2^-least
    bounds the unit.
    """
    while count:
        target = float(rng.choice(np.arange(3, 17, 2))) * 2.0 ** -int(rng.integers(least, most))
        a, b = (np.float32(v) for v in rng.uniform(0.01, 0.1, 2))
        y = np.float32(ratio(np.float64(a), np.float64(b), np.float64(1.0)) / target)
        wide = float(ratio(np.float64(a), np.float64(b), np.float64(y)))
        narrow = float(ratio(a, b, y))
        if quantize_multiplier(wide) != quantize_multiplier(narrow) and (wide < target) != (narrow < target):
            count -= 1
            yield float(a), float(b), float(y)
