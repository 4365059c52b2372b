"""Small ONNX models that bring out the kernels and the odd corners of a generated library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from mcugen.ir import Array


def _save(
    path: Path,
    nodes: Sequence[NodeProto],
    inputs: Mapping[str, Sequence[int]],
    outputs: Mapping[str, Sequence[int]],
    constants: Mapping[str, Array],
) -> Path:
    def info(ports: Mapping[str, Sequence[int]]) -> list[onnx.ValueInfoProto]:
        return [helper.make_tensor_value_info(n, TensorProto.FLOAT, list(s)) for n, s in ports.items()]

    initializers = [numpy_helper.from_array(np.asarray(a), n) for n, a in constants.items()]
    graph = helper.make_graph(list(nodes), "zoo", info(inputs), info(outputs), initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path


def _weights(rng: np.random.Generator, *shape: int) -> Array:
    return (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)


def every_kernel(folder: Path) -> Path:
    """Two inputs, three outputs, and every kernel that usual networks need."""
    rng = np.random.default_rng(1)
    node = helper.make_node
    nodes = [
        node("Conv", ["a", "w1", "b1"], ["c1"], name="conv", strides=[2, 1], pads=[1, 0, 0, 1]),
        node("Relu", ["c1"], ["r1"], name="relu"),
        node("Conv", ["r1", "w2"], ["c2"], name="depthwise", group=6, pads=[1, 1, 1, 1]),
        node("Conv", ["c2", "w3"], ["c3"], name="grouped", group=2, dilations=[1, 2], pads=[0, 1, 0, 1]),
        node("Add", ["c2", "c3"], ["s1"], name="residual"),
        node("Sigmoid", ["c3"], ["g1"], name="gate"),
        node("Mul", ["s1", "g1"], ["m1"], name="gated"),
        node("MaxPool", ["m1"], ["p1"], name="max", kernel_shape=[2, 2], strides=[2, 2]),
        node("AveragePool", ["m1"], ["p2"], name="average", kernel_shape=[2, 2], strides=[2, 2]),
        node("Concat", ["p1", "p2"], ["k1"], name="concat", axis=1),
        node("GlobalAveragePool", ["k1"], ["q1"], name="mean"),
        node("Flatten", ["q1"], ["f1"], name="flatten"),
        node("Gemm", ["f1", "w4", "b4"], ["d1"], name="dense", transB=1),
        node("Add", ["d1", "b"], ["e1"], name="second_input"),
        node("Softmax", ["e1"], ["scores"], name="softmax", axis=-1),
        node("Slice", ["b", "from", "to", "axes"], ["t1"], name="slice"),
        node("Tanh", ["t1"], ["curve"], name="tanh"),
        node("Transpose", ["p1"], ["turned"], name="transpose", perm=[0, 1, 3, 2]),
    ]
    constants = {
        "w1": _weights(rng, 6, 3, 3, 3),
        "b1": _weights(rng, 6),
        "w2": _weights(rng, 6, 1, 3, 3),
        "w3": _weights(rng, 6, 3, 1, 2),
        "w4": _weights(rng, 5, 12),
        "b4": _weights(rng, 5),
        "from": np.array([1]),
        "to": np.array([4]),
        "axes": np.array([1]),
    }
    inputs = {"a": (1, 3, 9, 7), "b": (1, 5)}
    outputs = {"scores": (1, 5), "curve": (1, 3), "turned": (1, 6, 3, 2)}
    return _save(folder / "every_kernel.onnx", nodes, inputs, outputs, constants)


def small(folder: Path) -> Path:
    """A convolution, a dense layer and softmax: what a first look at generated code should show."""
    rng = np.random.default_rng(2)
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c"], name="conv", pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["c"], ["r"], name="relu"),
        helper.make_node("Flatten", ["r"], ["f"], name="flatten"),
        helper.make_node("Gemm", ["f", "w2", "b2"], ["d"], name="dense", transB=1),
        helper.make_node("Softmax", ["d"], ["y"], name="softmax", axis=-1),
    ]
    constants = {
        "w1": _weights(rng, 4, 1, 3, 3),
        "b1": _weights(rng, 4),
        "w2": _weights(rng, 3, 16),
        "b2": _weights(rng, 3),
    }
    return _save(folder / "small.onnx", nodes, {"x": (1, 1, 4, 4)}, {"y": (1, 3)}, constants)


def upsampling(folder: Path) -> Path:
    """Transposed convolutions: before a ReLU, of groups, and of outputs of both signs; a head of two channels."""
    rng = np.random.default_rng(3)
    twice = {"strides": [2, 2], "pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("ConvTranspose", ["x", "w1", "b1"], ["c"], name="four", **twice),
        helper.make_node("Relu", ["c"], ["r"], name="relu"),
        helper.make_node("ConvTranspose", ["r", "w2"], ["g"], name="grouped", group=2, **twice),
        helper.make_node("ConvTranspose", ["g", "w3"], ["y"], name="last", strides=[2, 2]),
        helper.make_node("Conv", ["g", "w4"], ["h"], name="head"),
    ]
    constants = {
        "w1": _weights(rng, 5, 6, 4, 4),
        "b1": _weights(rng, 6),
        "w2": _weights(rng, 6, 4, 3, 3),
        "w3": _weights(rng, 8, 3, 2, 2),
        "w4": _weights(rng, 2, 8, 1, 1),
    }
    outputs = {"y": (1, 3, 22, 22), "h": (1, 2, 11, 11)}
    return _save(folder / "upsampling.onnx", nodes, {"x": (1, 5, 3, 3)}, outputs, constants)


def no_constants(folder: Path) -> Path:
    """A library without any table of weights."""
    nodes = [helper.make_node("Add", ["x", "y"], ["z"], name="add")]
    return _save(folder / "no_constants.onnx", nodes, {"x": (1, 4), "y": (1, 4)}, {"z": (1, 4)}, {})


def no_layers(folder: Path) -> Path:
    """A library that computes nothing: the output is the input in another shape."""
    nodes = [helper.make_node("Flatten", ["x"], ["y"], name="flatten")]
    return _save(folder / "no_layers.onnx", nodes, {"x": (1, 2, 3)}, {"y": (1, 6)}, {})


def hostile_names(folder: Path) -> Path:
    """Names that would end a comment or a string, or begin a trigraph or a format."""
    ugly = ['*/ int bad; /*"x" %s \\', "??/%d\n#error", "ü*" + "/" * 200]
    nodes = [
        helper.make_node("Sigmoid", [ugly[0]], ["m"], name="*/ #error \\"),
        helper.make_node("Sigmoid", ["m"], [ugly[1]], name='"??/'),
        helper.make_node("Tanh", ["m"], [ugly[2]], name="/*/*/"),
    ]
    return _save(folder / "hostile.onnx", nodes, {ugly[0]: (1, 3)}, {ugly[1]: (1, 3), ugly[2]: (1, 3)}, {})


ZOO = (every_kernel, small, no_constants, no_layers, hostile_names)
