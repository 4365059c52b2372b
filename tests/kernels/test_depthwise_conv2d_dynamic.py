"""depthwise_conv2d_dynamic equals the definition in ops/dynamic_range, bit by bit."""

from __future__ import annotations

import numpy as np
from harness import check_kernel
from test_conv2d_dynamic import dynamic, odd_samples
from test_depthwise_conv2d_portable import random_depthwise


def test_random() -> None:
    rng = np.random.default_rng(1)
    check_kernel([dynamic(random_depthwise(rng)) for _ in range(16)], kernel="depthwise_conv2d_dynamic")


def test_odd_numbers() -> None:
    graph = dynamic(random_depthwise(np.random.default_rng(4)))
    check_kernel(graph, odd_samples(graph), kernel="depthwise_conv2d_dynamic")
