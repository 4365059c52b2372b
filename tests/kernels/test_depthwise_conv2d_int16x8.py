"""depthwise_conv2d_int16x8 equals the reference: every shape, all three kinds of sums."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from graphs import as_int16
from harness import check_kernel
from random_conv import random_depthwise

from mcugen.ir import DType
from mcugen.kernels import KERNELS

KERNEL = KERNELS["depthwise_conv2d_int16x8"]


@pytest.mark.parametrize("bias", [DType.INT64, DType.INT32])
def test_random_convolutions(bias: DType) -> None:
    rng = np.random.default_rng(2)
    check_kernel([as_int16(random_depthwise(rng), bias) for _ in range(24)], kernel=KERNEL.name)


def test_sums_of_64_bits() -> None:
    rng = np.random.default_rng(3)
    graphs = []
    for _ in range(8):
        graph = as_int16(random_depthwise(rng))
        bias = replace(graph.tensors["b"], data=rng.integers(-(1 << 46), 1 << 46, graph.tensors["b"].shape))
        graphs.append(replace(graph, tensors={**graph.tensors, "b": bias}))
    assert {KERNEL.variant(g.nodes[0], g)[0] for g in graphs} == {f"{KERNEL.name}_wide"}
    check_kernel(graphs, kernel=KERNEL.name)
