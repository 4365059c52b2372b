"""depthwise_conv2d_dsp equals the reference for any filter, with every form of its requantization."""

from __future__ import annotations

import numpy as np
from harness import check_kernel
from random_conv import random_depthwise

CHANNELS = ((1, 1), (2, 1), (4, 1), (7, 1), (12, 1), (1, 4), (2, 5), (3, 2), (1, 9))
KERNELS_ = ((5, 5), (1, 3), (7, 1), (2, 4), (3, 3))


def test_random_convolutions() -> None:
    rng = np.random.default_rng(2)
    graphs = [
        random_depthwise(rng, kernel=KERNELS_[i % 5], usual=i % 2 == 0, channels=CHANNELS[i % 9])
        for i in range(45)
    ]
    check_kernel(graphs, board="cortex-m4", kernel="depthwise_conv2d_dsp")
