"""transpose_conv_int16x8 equals the reference over random shapes, strides, padding and groups."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mcugen.kernels import KERNELS
from tests.graphs import as_int16
from tests.kernels.harness import check_kernel
from tests.kernels.test_transpose_conv_portable import random_transpose_conv

KERNEL = KERNELS["transpose_conv_int16x8"]


def test_random_transposed_convolutions() -> None:
    rng = np.random.default_rng(8)
    check_kernel([as_int16(random_transpose_conv(rng)) for _ in range(24)], kernel=KERNEL.name)


def test_sums_of_64_bits() -> None:
    rng = np.random.default_rng(9)
    graphs = []
    for _ in range(8):
        graph = as_int16(random_transpose_conv(rng))
        bias = replace(graph.tensors["b"], data=rng.integers(-(1 << 46), 1 << 46, graph.tensors["b"].shape))
        graphs.append(replace(graph, tensors={**graph.tensors, "b": bias}))
    assert {KERNEL.variant(g.nodes[0], g)[0] for g in graphs} == {f"{KERNEL.name}_wide"}
    check_kernel(graphs, kernel=KERNEL.name)
