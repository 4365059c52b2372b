"""depthwise_conv2d_portable equals the reference over shapes, strides, dilations, padding and clamps."""

from __future__ import annotations

import numpy as np
from harness import check_kernel
from random_conv import random_depthwise


def test_random_convolutions() -> None:
    rng = np.random.default_rng(2)
    check_kernel([random_depthwise(rng) for _ in range(30)], kernel="depthwise_conv2d_portable")
