"""Networks quantized by onnxruntime, built and compared with the annotated model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx_net import Net, smooth_samples
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

import mcugen
from mcugen.ir import Array
from mcugen.verify import Report, verify

QDQ, QOPERATOR = QuantFormat.QDQ, QuantFormat.QOperator
INT8, UINT8 = QuantType.QInt8, QuantType.QUInt8


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    def __init__(self, name: str, samples: Array) -> None:
        self.samples = iter([{name: sample[np.newaxis]} for sample in samples])

    def get_next(self) -> Any:
        return next(self.samples, None)


def quantize(model: onnx.ModelProto, shape: Sequence[int], folder: Path, **options: Any) -> Path:
    """The file of a model with one input, quantized by onnxruntime on smooth samples."""
    source, target = folder / "float.onnx", folder / "quantized.onnx"
    onnx.save(model, source)
    samples = smooth_samples(np.random.default_rng(5), 32, shape)
    logging.disable(logging.WARNING)  # it advises to preprocess
    try:
        quantize_static(source, target, _Reader(model.graph.input[0].name, samples), **options)
    finally:
        logging.disable(logging.NOTSET)
    return target


def built(path: Path, folder: Path, count: int = 300, **options: Any) -> tuple[dict[str, Any], Report]:
    """The manifest of a library for the host, and its comparison with the model file on smooth samples."""
    build = mcugen.build(path, board="host", out=folder / "out", **options)
    shape = build.manifest["inputs"][0]["shape"]
    data = folder / "samples.npy"
    np.save(data, smooth_samples(np.random.default_rng(9), count, shape))
    return build.manifest, verify(build.path, data=data, model=path)


def residual(seed: int = 0) -> tuple[onnx.ModelProto, tuple[int, ...]]:
    """Depthwise, residual, concat, ReLU6, two kinds of pooling, softmax."""
    net = Net(17, seed)
    x = net.input("N", 3, 12, 12, name="x")
    first = net.add("Relu", net.batch_norm(net.conv(x, 3, 8, 3, 3, pads=[1, 1, 1, 1], bias=False), 8))
    depthwise = net.add("Relu", net.conv(first, 8, 8, 3, 3, pads=[1, 1, 1, 1], group=8))
    total = net.add("Relu", net.add("Add", first, net.conv(depthwise, 8, 8, 1, 1)))
    pooled = net.add("MaxPool", total, kernel_shape=[2, 2], strides=[2, 2])
    side = net.conv(pooled, 8, 8, 3, 3, pads=[1, 1, 1, 1])
    side = net.add("Clip", side, net.constant(0.0), net.constant(6.0))
    both = net.add(
        "AveragePool", net.add("Concat", pooled, side, axis=1), kernel_shape=[2, 2], strides=[2, 2]
    )
    mean = net.add("Flatten", net.add("GlobalAveragePool", net.add("Relu", net.conv(both, 16, 16, 1, 1))))
    return net.model(net.add("Softmax", net.dense(mean, 16, 10), name="prob", axis=-1)), (3, 12, 12)


def one_d(seed: int = 1) -> tuple[onnx.ModelProto, tuple[int, ...]]:
    """1-D convolutions, leaky ReLU, a gate, pooling, MatMul."""
    net = Net(17, seed)
    x = net.input(1, 4, 32, name="x")
    first = net.add("Relu", net.conv(x, 4, 12, 5, strides=[2], pads=[2, 2]))
    leaky = net.add("LeakyRelu", net.conv(first, 12, 12, 3, pads=[1, 1], group=12), alpha=0.1)
    total = net.add("Add", first, leaky)
    gated = net.add("Mul", total, net.add("Sigmoid", net.conv(total, 12, 12, 1)))
    flat = net.reshape(net.add("MaxPool", gated, kernel_shape=[4], strides=[4]), 1, 48)
    return net.model(net.linear(net.add("Tanh", net.linear(flat, 48, 24)), 24, 6)), (4, 32)


def dense(seed: int = 2) -> tuple[onnx.ModelProto, tuple[int, ...]]:
    """Gemm layers with a residual."""
    net = Net(17, seed)
    x = net.input("N", 40, name="x")
    a = net.add("Relu", net.dense(x, 40, 32))
    b = net.add("Relu", net.dense(a, 32, 32))
    return net.model(net.dense(net.add("Add", a, b), 32, 8)), (40,)
