"""average_pool2d_portable equals the reference over shapes, windows, ways of counting, padding and clamps."""

from __future__ import annotations

import numpy as np
from harness import check_kernel
from test_max_pool2d_portable import random_pool


def test_random_pools() -> None:
    rng = np.random.default_rng(6)
    plain = [random_pool(rng, "average_pool2d", count_include_pad=False) for _ in range(12)]
    padded = [random_pool(rng, "average_pool2d", count_include_pad=True) for _ in range(10)]
    some = [
        random_pool(
            rng, "average_pool2d", count_include_pad=True, pads=(1, 0, 2, 2), counted_pads=(1, 0, 1, 0)
        )
        for _ in range(8)
    ]
    check_kernel(plain + padded + some, kernel="average_pool2d_portable")
