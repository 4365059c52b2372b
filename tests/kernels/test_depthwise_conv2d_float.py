"""depthwise_conv2d_float32 and _float16 equal the exact float reference, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import as_float
from harness import check_kernel
from test_depthwise_conv2d_portable import random_depthwise

from mcugen.ir import DType


@pytest.mark.parametrize("stored", [DType.FLOAT32, DType.FLOAT16])
def test_random(stored: DType) -> None:
    rng = np.random.default_rng(1)
    check_kernel(
        [as_float(random_depthwise(rng), stored) for _ in range(16)], kernel=f"depthwise_conv2d_{stored}"
    )
