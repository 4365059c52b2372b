"""fully_connected_portable equals the reference over shapes, scales, zero points and clamps."""

from __future__ import annotations

import numpy as np
from graphs import int8_type, one_node_graph
from harness import check_kernel

from mcugen.ir import DType, Graph, Quant, Tensor, TensorType
from mcugen.kernels import KERNELS


def random_dense(rng: np.random.Generator, lead: tuple[int, ...]) -> Graph:
    depth, channels = (int(v) for v in rng.integers(1, 40, 2))
    weights = rng.integers(-128, 128, (channels, depth)).astype(np.int8)
    scales = tuple(float(np.float32(s)) for s in 2.0 ** rng.uniform(-14, 22, channels))
    bias = rng.integers(-(2**20), 2**20, channels).astype(np.int32)
    operands = [
        int8_type((*lead, depth), 0.05, int(rng.integers(-128, 128))),
        Tensor("w", TensorType(weights.shape, DType.INT8, Quant(scales, (0,) * channels, 0)), weights),
        Tensor("b", TensorType(bias.shape, DType.INT32), bias),
    ]
    clamp = (-1.0, 2.0) if rng.random() < 0.3 else (-np.inf, np.inf)
    y = int8_type((*lead, channels), 0.3, int(rng.integers(-128, 128)))
    return one_node_graph("fully_connected", operands, {"clamp": clamp}, y)


def test_random_dense_layers() -> None:
    rng = np.random.default_rng(3)
    leads = [(1,), (1,), (5,), (1, 4), (2, 3), (1, 2, 3)]
    check_kernel(
        [random_dense(rng, lead) for lead in leads for _ in range(4)], kernel="fully_connected_portable"
    )


def test_rows_overlap_and_one_vector_does_not() -> None:
    rng = np.random.default_rng(4)
    kernel = KERNELS["fully_connected_portable"]
    one, rows = random_dense(rng, (1,)), random_dense(rng, (1, 4))
    assert kernel.access(one.nodes[0], one)[0] is None
    assert kernel.access(rows.nodes[0], rows)[0] is not None
