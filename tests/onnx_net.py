"""A compact builder of whole ONNX networks with seeded weights, written as exporters write them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mcugen.ir import Array, Graph
from mcugen.normalise import normalise
from mcugen.read.float_check import check_import
from mcugen.read.onnx_file import LoadedModel
from mcugen.read.onnx_import import import_model


class Net:
    """ONNX nodes, one by one. Methods take and give names of tensors; layers draw their weights from a seed."""

    def __init__(self, opset: int = 17, seed: int = 0) -> None:
        self.opset = opset
        self.rng = np.random.default_rng(seed)
        self.inputs: dict[str, Sequence[int | str]] = {}
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Array] = {}

    def input(self, *shape: int | str, name: str = "") -> str:
        name = name or f"in{len(self.inputs)}"
        self.inputs[name] = shape
        return name

    def constant(self, value: Any, name: str = "") -> str:
        """An initializer; Python floats become float32, integers int64."""
        array = np.asarray(value)
        name = name or f"c{len(self.constants)}"
        self.constants[name] = array.astype(np.float32) if array.dtype == np.float64 else array
        return name

    def add(self, op_type: str, *inputs: str, outputs: int = 1, name: str = "", **attrs: Any) -> Any:
        """The output's name; a list of them where `outputs` is above 1."""
        names = (
            [name or f"/{op_type}_{len(self.nodes)}"]
            if outputs == 1
            else [f"/{op_type}_{len(self.nodes)}/{i}" for i in range(outputs)]
        )
        self.nodes.append(helper.make_node(op_type, list(inputs), names, names[0], **attrs))
        return names[0] if outputs == 1 else names

    def weights(self, *shape: int) -> str:
        """Normal weights that keep the signal's size, constant [out, in, ...]."""
        fan_in = max(1, int(np.prod(shape[1:])))
        return self.constant(self.rng.standard_normal(shape) * np.sqrt(2.0 / fan_in))

    def vector(self, count: int, low: float = -0.3, high: float = 0.3) -> str:
        return self.constant(self.rng.uniform(low, high, count))

    def conv(
        self, x: str, channels: int, out: int, *kernel: int, bias: bool = True, group: int = 1, **attrs: Any
    ) -> str:
        w = self.weights(out, channels // group, *kernel)
        b = [self.vector(out)] if bias else []
        return str(self.add("Conv", x, w, *b, kernel_shape=list(kernel), group=group, **attrs))

    def batch_norm(self, x: str, channels: int) -> str:
        gamma, variance = self.vector(channels, 0.6, 1.4), self.vector(channels, 0.4, 1.2)
        return str(
            self.add("BatchNormalization", x, gamma, self.vector(channels), self.vector(channels), variance)
        )

    def dense(self, x: str, channels: int, out: int) -> str:
        """PyTorch's Linear on a matrix."""
        return str(self.add("Gemm", x, self.weights(out, channels), self.vector(out), transB=1))

    def linear(self, x: str, channels: int, out: int) -> str:
        """PyTorch's Linear on three axes, or Keras's Dense: MatMul and Add."""
        w = self.constant(self.constants.pop(self.weights(out, channels)).T)
        return str(self.add("Add", self.vector(out), self.add("MatMul", x, w)))

    def reshape(self, x: str, *shape: int) -> str:
        return str(self.add("Reshape", x, self.constant(np.array(shape))))

    def mean(self, x: str, axes: Sequence[int], keepdims: int = 0) -> str:
        """ReduceMean with its axes where the opset has them."""
        if self.opset >= 18:
            return str(self.add("ReduceMean", x, self.constant(np.array(axes)), keepdims=keepdims))
        return str(self.add("ReduceMean", x, axes=list(axes), keepdims=keepdims))

    def model(self, *outputs: str) -> onnx.ModelProto:
        """The model; output shapes are left open."""
        ins = [helper.make_tensor_value_info(n, TensorProto.FLOAT, list(s)) for n, s in self.inputs.items()]
        outs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs]
        initializers = [numpy_helper.from_array(a, n) for n, a in self.constants.items()]
        graph = helper.make_graph(self.nodes, "net", ins, outs, initializers)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)


def loaded(model: onnx.ModelProto) -> LoadedModel:
    """What the importer takes, without a file."""
    return LoadedModel(model, Path("net.onnx"), "0" * 64, model.opset_import[0].version, 0)


def smooth_samples(rng: np.random.Generator, count: int, shape: Sequence[int]) -> Array:
    """float32 [count, *shape] of unit size, neighbours alike, as real signals are."""
    x = rng.standard_normal((count, *shape))
    for axis in range(1, x.ndim):
        if x.shape[axis] > 4:
            x = (x + np.roll(x, 1, axis) + np.roll(x, -1, axis)) / np.sqrt(3.0)
    return x.astype(np.float32)


def normalised(model: onnx.ModelProto) -> Graph:
    """The normalised float graph, which computes what onnxruntime computes from the file."""
    imported = import_model(loaded(model))
    graph = normalise(imported.graph)
    check_import(imported, graph)
    return graph
