"""depthwise_conv2d_portable equals the reference over shapes, strides, dilations, padding and clamps."""

from __future__ import annotations

import numpy as np
from graphs import int8_type, one_node_graph
from harness import check_kernel

from mcugen.ir import DType, Graph, Quant, Tensor, TensorType
from mcugen.ops import OPS


def random_depthwise(rng: np.random.Generator) -> Graph:
    """One integer depthwise convolution with everything random."""
    c, m = (int(v) for v in rng.choice([1, 1, 2, 3, 5], 2))
    kernel, strides, dilations = (tuple(int(v) for v in rng.integers(1, top, 2)) for top in (5, 4, 3))
    attrs = {
        "strides": strides,
        "dilations": dilations,
        "pads": tuple(int(v) for v in rng.integers(0, 5, 4)),
        "clamp": (0.0, 6.0) if rng.random() < 0.3 else (-np.inf, np.inf),
    }
    size = [(k - 1) * d + int(rng.integers(1, 7)) for k, d in zip(kernel, dilations, strict=True)]
    x = int8_type((1, *size, c), 0.05, int(rng.integers(-128, 128)))
    weights = rng.integers(-128, 128, (1, *kernel, c * m)).astype(np.int8)
    scales = tuple(float(np.float32(s)) for s in 2.0 ** rng.uniform(-14, 22, c * m))
    bias = rng.integers(-(2**20), 2**20, c * m).astype(np.int32)
    operands = [
        x,
        Tensor("w", TensorType(weights.shape, DType.INT8, Quant(scales, (0,) * (c * m), 3)), weights),
        Tensor("b", TensorType(bias.shape, DType.INT32), bias),
    ]
    probe = one_node_graph("depthwise_conv2d", operands, attrs, x)
    types = [probe.type(i) for i in probe.nodes[0].inputs]
    (y,) = OPS["depthwise_conv2d"].infer(probe.nodes[0], types)
    return one_node_graph(
        "depthwise_conv2d", operands, attrs, int8_type(y.shape, 0.3, int(rng.integers(-128, 128)))
    )


def test_random_convolutions() -> None:
    rng = np.random.default_rng(2)
    check_kernel([random_depthwise(rng) for _ in range(30)], kernel="depthwise_conv2d_portable")
