"""conv2d_float32 and conv2d_float16 equal the exact float reference, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import as_float
from harness import check_kernel
from random_conv import random_conv, random_dense

from mcugen.ir import DType


@pytest.mark.parametrize("stored", [DType.FLOAT32, DType.FLOAT16])
def test_random_convolutions(stored: DType) -> None:
    rng = np.random.default_rng(1)
    graphs = [as_float(random_conv(rng), stored) for _ in range(20)]
    check_kernel(graphs, kernel=f"conv2d_{stored}")


@pytest.mark.parametrize("stored", [DType.FLOAT32, DType.FLOAT16])
def test_random_dense_layers(stored: DType) -> None:
    rng = np.random.default_rng(3)
    leads = [(1,), (1,), (5,), (1, 4), (2, 3), (1, 2, 3)]
    graphs = [as_float(random_dense(rng, lead), stored) for lead in leads for _ in range(3)]
    check_kernel(graphs, kernel=f"conv2d_{stored}")
