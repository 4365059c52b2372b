"""conv2d_portable equals the reference over shapes, strides, dilations, padding, groups, clamps and shifts."""

from __future__ import annotations

import numpy as np

from mcugen.ir import DType, Graph, Node, Quant, Tensor, TensorType
from mcugen.ops import OPS
from harness import check_kernel


def random_conv(rng: np.random.Generator) -> Graph:
    """One integer convolution with everything random."""
    groups = int(rng.choice([1, 1, 1, 2, 3]))
    ci, co = groups * int(rng.integers(1, 6)), groups * int(rng.integers(1, 6))
    kh, kw = (int(v) for v in rng.integers(1, 5, 2))
    dh, dw = (int(v) for v in rng.integers(1, 3, 2))
    attrs = {
        "strides": tuple(int(v) for v in rng.integers(1, 4, 2)),
        "dilations": (dh, dw),
        "pads": tuple(int(v) for v in rng.integers(0, 3, 4)),
        "groups": groups,
        "clamp": (0.0, 6.0) if rng.random() < 0.3 else (-np.inf, np.inf),
    }
    h, w = (kh - 1) * dh + int(rng.integers(1, 7)), (kw - 1) * dw + int(rng.integers(1, 7))
    x = TensorType((1, h, w, ci), DType.INT8, Quant((0.05,), (int(rng.integers(-128, 128)),)))
    weights = rng.integers(-128, 128, (co, kh, kw, ci // groups)).astype(np.int8)
    scales = tuple(float(np.float32(s)) for s in 2.0 ** rng.uniform(-14, 22, co))
    bias = rng.integers(-(2**20), 2**20, co).astype(np.int32)
    tensors = {
        "x": Tensor("x", x),
        "w": Tensor("w", TensorType(weights.shape, DType.INT8, Quant(scales, (0,) * co, 0)), weights),
        "b": Tensor("b", TensorType(bias.shape, DType.INT32), bias),
    }
    node = Node("y", "conv2d", ("x", "w", "b"), ("y",), attrs, "test")
    (shape,) = (t.shape for t in OPS["conv2d"].infer(node, [t.type for t in tensors.values()]))
    y = TensorType(shape, DType.INT8, Quant((float(np.float32(0.3)),), (int(rng.integers(-128, 128)),)))
    return Graph("conv", ("x",), ("y",), (node,), {**tensors, "y": Tensor("y", y)})


def test_random_convolutions() -> None:
    rng = np.random.default_rng(1)
    check_kernel([random_conv(rng) for _ in range(40)], kernel="conv2d_portable")
