"""Conversions between element types equal their references."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import one_node_graph
from harness import check_kernel

from mcugen.ir import DType, Graph, Quant, TensorType
from mcugen.kernels import KERNELS
from mcugen.kernels.kernel import Kernel

CONVERSIONS = [k for k in KERNELS.values() if k.template == "requantize_wide"]


def random_type(rng: np.random.Generator, dtype: DType, elements: int) -> TensorType:
    if dtype is DType.FLOAT32:
        return TensorType((1, elements))
    limits = np.iinfo(dtype.numpy)
    scale = float(np.float32(2.0 ** rng.uniform(-12, 4)))
    zero_point = 0 if dtype is DType.INT16 else int(rng.integers(limits.min, limits.max + 1))
    return TensorType((1, elements), dtype, Quant((scale,), (zero_point,)))


@pytest.mark.parametrize("kernel", CONVERSIONS, ids=lambda k: k.name)
def test_random(kernel: Kernel) -> None:
    rng = np.random.default_rng(8)
    graphs: list[Graph] = []
    for _ in range(12):
        n = int(rng.integers(1, 60))
        x, y = (random_type(rng, dtype, n) for dtype in kernel.types[0])
        graphs.append(one_node_graph(kernel.ops[0], [x], {}, y))
    check_kernel(graphs, kernel=kernel.name)


def test_what_is_no_number_and_halves() -> None:
    x = np.array([np.nan, np.inf, -np.inf, 0.25, -0.25, 0.2499, 1e30, -0.0, 3e-45, 63.75], np.float32)
    y = TensorType((1, x.size), DType.INT8, Quant((0.5,), (3,)))
    graph = one_node_graph("quantize", [TensorType((1, x.size))], {}, y)
    check_kernel(graph, [x[np.newaxis, np.newaxis]])
