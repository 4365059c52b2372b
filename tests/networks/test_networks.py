"""Whole networks as PyTorch's and TensorFlow's exporters write them, from ONNX to C: what the file says, in the layers
a reader would expect, the same bytes everywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from harness import check_kernel
from onnx_net import Net, loaded, smooth_samples

import mcugen
from mcugen.calibrate.ranges import calibrate
from mcugen.execute import outputs, run_samples
from mcugen.graph_file import load_graph
from mcugen.ir import Array, Graph
from mcugen.normalise import normalise
from mcugen.pipeline import compile_graph
from mcugen.quantize.input_transpose import fuse_input_transpose
from mcugen.read.float_check import check_import
from mcugen.read.onnx_import import import_model
from mcugen.simulate import HostLibrary
from mcugen.verify import random_vectors

SAME = {"pads": [1, 1, 1, 1]}
SANITIZED = (("gcc", ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")),)


def sqnr(exact: Array, values: Array) -> float:
    """Signal to noise in dB."""
    return float(
        10.0 * np.log10(np.sum(np.square(exact, dtype=np.float64)) / np.sum(np.square(exact - values)))
    )


@dataclass(frozen=True)
class Expected:
    """What is left of a network: `transposes` in all, and how many nodes of some other kinds."""

    build: Callable[[], onnx.ModelProto]
    transposes: int
    ops: dict[str, int]


def residual() -> onnx.ModelProto:
    net = Net(17)
    x = net.input(1, 3, 12, 12)
    a = net.add("Relu", net.batch_norm(net.conv(x, 3, 8, 3, 3, bias=False, **SAME), 8))
    b = net.batch_norm(net.conv(a, 8, 8, 3, 3, bias=False, **SAME), 8)
    c = net.add("Relu", net.add("Add", b, a))
    d = net.add(
        "Add", net.conv(c, 8, 12, 3, 3, strides=[2, 2], **SAME), net.conv(c, 8, 12, 1, 1, strides=[2, 2])
    )
    flat = net.add("Flatten", net.add("GlobalAveragePool", net.add("Relu", d)))
    return net.model(net.add("Softmax", net.dense(flat, 12, 5), axis=1))


def inception() -> onnx.ModelProto:
    net = Net(11)
    x = net.input("batch", 1, 13, 17)
    stem = net.add("Relu", net.conv(x, 1, 6, 3, 3, **SAME))
    pooled = net.add("MaxPool", stem, kernel_shape=[3, 3], **SAME)
    parts = [net.conv(stem, 6, 4, 1, 1), net.conv(stem, 6, 5, 3, 3, **SAME), net.conv(pooled, 6, 3, 1, 1)]
    y = net.add(
        "MaxPool", net.add("Relu", net.add("Concat", *parts, axis=1)), kernel_shape=[2, 2], strides=[2, 2]
    )
    # x.view(x.size(0), -1): a chain on the shape
    batch = net.add("Gather", net.add("Shape", y), net.constant(np.array(0)), axis=0)
    rest = net.constant(np.array([-1]))
    shape = net.add("Concat", net.add("Unsqueeze", batch, axes=[0]), rest, axis=0)
    return net.model(net.dense(net.add("Reshape", y, shape), 12 * 6 * 8, 4))


def dense_net() -> onnx.ModelProto:
    """Batch normalization before the activation: nothing before it to fold into."""
    net = Net(13)
    x = net.conv(net.input(1, 2, 8, 8), 2, 6, 3, 3, **SAME)
    for channels in (6, 9):
        y = net.add("Relu", net.batch_norm(x, channels))
        x = net.add("Concat", x, net.conv(y, channels, 3, 3, 3, bias=False, **SAME), axis=1)
    x = net.add("AveragePool", net.add("Relu", net.batch_norm(x, 12)), kernel_shape=[2, 2], strides=[2, 2])
    return net.model(net.dense(net.mean(x, [2, 3]), 12, 3))


def mobile_v3(opset: int, expand: bool) -> onnx.ModelProto:
    """Depthwise layers, hard swish decomposed or not, and squeeze-and-excite with its gate broadcast or expanded."""
    net = Net(opset)

    def swish(x: str) -> str:
        if opset >= 14:
            return str(net.add("HardSwish", x))
        return str(net.add("Mul", x, net.add("HardSigmoid", x, alpha=1 / 6)))

    x = swish(
        net.batch_norm(net.conv(net.input(1, 3, 11, 11), 3, 8, 3, 3, strides=[2, 2], bias=False, **SAME), 8)
    )
    y = swish(net.conv(x, 8, 8, 5, 5, group=8, pads=[2, 2, 2, 2]))
    gate = net.reshape(net.add("GlobalAveragePool", y), 1, 8)
    gate = net.add("Sigmoid", net.dense(net.add("Relu", net.dense(gate, 8, 4)), 4, 8))
    gate = net.reshape(gate, 1, 8, 1, 1)
    gate = net.add("Expand", gate, net.add("Shape", y)) if expand else gate
    y = net.conv(net.add("Mul", y, gate), 8, 8, 1, 1)
    return net.model(net.dense(net.add("Flatten", net.mean(net.add("Add", x, y), [2, 3])), 8, 4))


def relu6_blocks() -> onnx.ModelProto:
    net = Net(13)
    bounds = net.constant(0.0), net.constant(6.0)
    x = net.add("Clip", net.conv(net.input(1, 3, 10, 9), 3, 6, 3, 3, strides=[2, 2], **SAME), *bounds)
    y = net.add("Clip", net.conv(x, 6, 18, 1, 1), *bounds)
    y = net.add("Clip", net.conv(y, 18, 18, 3, 3, group=18, **SAME), *bounds)
    x = net.add("Add", x, net.batch_norm(net.conv(y, 18, 6, 1, 1, bias=False), 6))
    return net.model(net.add("GlobalAveragePool", net.conv(x, 6, 12, 3, 3, group=6)))


def signal() -> onnx.ModelProto:
    """1-D layers with the batch normalization of a dense one, which exporters do not fold."""
    net = Net(17)
    x = net.input("batch", 2, 40)
    x = net.add("Relu", net.batch_norm(net.conv(x, 2, 6, 7, strides=[2], pads=[3, 3]), 6))
    x = net.add("MaxPool", x, kernel_shape=[3], strides=[2], pads=[1, 1])
    x = net.add("Relu", net.conv(x, 6, 8, 3, dilations=[2], pads=[2, 2]))
    x = net.add("AveragePool", net.conv(x, 8, 8, 3, group=8, pads=[1, 1]), kernel_shape=[2], strides=[2])
    x = net.add("Flatten", x)
    return net.model(net.dense(net.add("Relu", net.batch_norm(net.dense(x, 40, 6), 6)), 6, 2))


def causal() -> onnx.ModelProto:
    """A temporal convolutional net: left padding written as Pad, a residual branch, the last step taken."""
    net = Net(13)
    x = net.input(1, 3, 16)
    before = net.conv(x, 3, 6, 1)
    for i in range(2):
        pads = net.constant(np.array([0, 0, 2 << i, 0, 0, 0]))
        y = net.conv(net.add("Pad", x, pads), 3 if i == 0 else 6, 6, 3, dilations=[1 << i])
        x = before = net.add("Add", net.add("Relu", y), before)
    return net.model(net.dense(net.add("Gather", x, net.constant(np.array(-1)), axis=2), 6, 2))


def mixer() -> onnx.ModelProto:
    """Patches as tokens, mixed across and along."""
    net = Net(18)
    x = net.reshape(net.conv(net.input(1, 3, 8, 8), 3, 10, 4, 4, strides=[4, 4]), 1, 10, 4)
    x = net.add("Transpose", x, perm=[0, 2, 1])
    y = net.add("Transpose", x, perm=[0, 2, 1])
    y = net.linear(net.add("Relu", net.linear(y, 4, 6)), 6, 4)
    x = net.add("Add", x, net.add("Transpose", y, perm=[0, 2, 1]))
    x = net.add("Add", x, net.linear(net.add("Relu", net.linear(x, 10, 12)), 12, 10))
    return net.model(net.dense(net.mean(x, [1]), 10, 3))


def shuffle() -> onnx.ModelProto:
    """Halves of the channels, shuffled: view, transpose, view."""
    net = Net(13)
    x = net.add("Relu", net.conv(net.input(1, 3, 6, 8), 3, 8, 3, 3, **SAME))
    left, right = net.add("Split", x, net.constant(np.array([4, 4])), outputs=2, axis=1)
    x = net.add(
        "Concat", net.conv(left, 4, 4, 3, 3, **SAME), net.conv(right, 4, 4, 3, 3, group=4, **SAME), axis=1
    )
    x = net.add("Transpose", net.reshape(x, 1, 2, 4, 6, 8), perm=[0, 2, 1, 3, 4])
    x = net.conv(net.reshape(x, 1, 8, 6, 8), 8, 4, 1, 1)
    bounds = [net.constant(np.array(v)) for v in ([1, 0], [3, 8], [1, 3], [1, 2])]
    return net.model(net.mean(x, [2, 3]), net.add("Slice", x, *bounds))


def flattened() -> onnx.ModelProto:
    """[N, C, H, W] flattened after a permutation that is channels-last anyway, then in the file's order."""
    net = Net(17)
    x = net.add("Relu", net.conv(net.input("n", 1, 9, 11), 1, 4, 3, 3, strides=[2, 2]))
    pixels = net.add("Transpose", net.reshape(x, 0, 0, -1), perm=[0, 2, 1])
    first = net.dense(net.reshape(pixels, 1, -1), 80, 5)
    return net.model(net.add("Add", first, net.dense(net.add("Flatten", x), 80, 5)))


def segmentation() -> onnx.ModelProto:
    net = Net(13)
    x = net.add("LeakyRelu", net.conv(net.input(1, 1, 8, 6), 1, 6, 3, 3, **SAME), alpha=0.1)
    return net.model(net.add("Softmax", net.conv(x, 6, 3, 1, 1), axis=1))


def preprocessing() -> onnx.ModelProto:
    """(x / 255 - mean) / std inside the model, per channel of a channels-first input."""
    net = Net(17)
    x = net.add("Div", net.input(1, 3, 8, 8), net.constant(255.0))
    x = net.add("Sub", x, net.constant(np.array([0.485, 0.456, 0.406]).reshape(1, 3, 1, 1)))
    x = net.add("Div", x, net.constant(np.array([0.229, 0.224, 0.225]).reshape(1, 3, 1, 1)))
    x = net.conv(x, 3, 6, 3, 3, strides=[2, 2], **SAME)
    return net.model(net.add("Flatten", net.add("GlobalMaxPool", x)))


def several() -> onnx.ModelProto:
    """Two inputs, three outputs of which one comes from another, a shared layer, x + x."""
    net = Net(17)
    image, vector = net.input(1, 3, 6, 6, name="image"), net.input(1, 5, name="vector")
    features = net.add("Relu", net.conv(image, 3, 4, 3, 3), name="features")
    both = net.add("Concat", net.mean(features, [2, 3]), net.add("Tanh", vector), axis=1)
    w, b = net.weights(9, 9), net.vector(9)
    once = net.add("Relu", net.add("Gemm", both, w, b, transB=1))
    twice = net.add("Gemm", net.add("Add", once, once), w, b, transB=1, name="twice")
    return net.model(twice, features, net.add("Identity", features, name="again"))


def keras_image() -> onnx.ModelProto:
    """tf2onnx: a channels-last input behind a Transpose, back to channels last at the flattening."""
    net = Net(13)
    x = net.add("Mul", net.input("unk__1", 10, 12, 2, name="input_1"), net.constant(1 / 127.5))
    x = net.add("Transpose", net.add("Add", x, net.constant(-1.0)), perm=[0, 3, 1, 2])
    x = net.add("Relu", net.batch_norm(net.conv(x, 2, 6, 3, 3, auto_pad="SAME_UPPER", strides=[2, 2]), 6))
    x = net.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], auto_pad="SAME_UPPER")
    x = net.add("Transpose", x, perm=[0, 2, 3, 1])
    return net.model(net.add("Softmax", net.dense(net.reshape(x, -1, 54), 54, 4), axis=-1))


def keras_signal() -> onnx.ModelProto:
    """tf2onnx's Conv1D: an image of one row, causal padding by Pad, then a layer on the sequence."""
    net = Net(13)
    x = net.input("unk__1", 12, 3)
    x = net.add("Pad", x, net.constant(np.array([0, 4, 0, 0, 0, 0])))
    x = net.add("Transpose", net.add("Unsqueeze", x, net.constant(np.array([1]))), perm=[0, 3, 1, 2])
    x = net.add("Relu", net.conv(x, 3, 5, 1, 3, dilations=[1, 2]))
    x = net.add("Squeeze", net.add("Transpose", x, perm=[0, 2, 3, 1]), net.constant(np.array([1])))
    return net.model(net.linear(net.batch_norm(net.add("Transpose", x, perm=[0, 2, 1]), 5), 12, 4))


def activations() -> onnx.ModelProto:
    net = Net(20)
    x = net.input(1, 4, 5, 5)
    for op_type in ("Gelu", "Elu", "Softplus", "Mish", "HardSwish", "Tanh", "Sigmoid"):
        x = net.add(op_type, net.conv(x, 4, 4, 3, 3, **SAME))
    x = net.conv(x, 4, 4, 1, 1)
    return net.model(net.add("Mul", x, net.add("Sigmoid", x)))


NETWORKS: dict[str, Expected] = {
    "residual": Expected(residual, 0, {"conv2d": 4, "add": 2, "mean": 1, "softmax": 1}),
    "inception": Expected(inception, 0, {"conv2d": 4, "max_pool2d": 2, "concat": 1, "unary": 1}),
    "dense_net": Expected(dense_net, 0, {"depthwise_conv2d": 3, "unary": 0}),
    "mobile_v3": Expected(
        lambda: mobile_v3(17, expand=True), 0, {"mul": 1, "concat": 0, "depthwise_conv2d": 1}
    ),
    "mobile_v3_old": Expected(lambda: mobile_v3(11, expand=False), 0, {"mul": 1, "unary": 3}),
    "relu6_blocks": Expected(relu6_blocks, 0, {"unary": 0, "depthwise_conv2d": 2}),
    "signal": Expected(signal, 0, {"conv2d": 2, "depthwise_conv2d": 1, "unary": 0}),
    "causal": Expected(causal, 0, {"pad": 0, "conv2d": 3, "unary": 0}),
    "mixer": Expected(mixer, 3, {"conv2d": 1, "fully_connected": 5}),
    "shuffle": Expected(shuffle, 2, {"conv2d": 3, "slice": 3}),
    "flattened": Expected(flattened, 0, {"conv2d": 1, "fully_connected": 2}),
    "segmentation": Expected(segmentation, 1, {"softmax": 1}),
    "preprocessing": Expected(preprocessing, 1, {"depthwise_conv2d": 1, "unary": 0, "sub": 0, "mul": 0}),
    "several": Expected(several, 1, {"conv2d": 1, "fully_connected": 2}),
    "keras_image": Expected(keras_image, 0, {"conv2d": 1, "depthwise_conv2d": 0, "unary": 1}),
    "keras_signal": Expected(keras_signal, 1, {"pad": 0, "depthwise_conv2d": 1}),
    "activations": Expected(activations, 1, {"unary": 8, "mul": 0}),
}


@pytest.fixture(scope="module")
def compiled() -> dict[str, tuple[Graph, Graph]]:
    """Float and integer graph of every network, the import compared with onnxruntime."""
    result = {}
    for name, network in NETWORKS.items():
        imported = import_model(loaded(network.build()))
        graph = normalise(imported.graph)
        check_import(imported, graph)
        rng = np.random.default_rng(5)
        samples = {n: smooth_samples(rng, 64, graph.type(n).shape[1:]) for n in graph.inputs}
        result[name] = graph, compile_graph(graph, calibrate(graph, samples))
    return result


@pytest.mark.parametrize("name", NETWORKS)
def test_layers_are_those_one_expects(name: str, compiled: dict[str, tuple[Graph, Graph]]) -> None:
    counts = Counter(node.op for node in fuse_input_transpose(compiled[name][1]).nodes)
    wanted = NETWORKS[name].ops | {"transpose": NETWORKS[name].transposes}
    assert {op: counts[op] for op in wanted} == wanted


@pytest.mark.parametrize("name", NETWORKS)
def test_integers_follow_the_floats(name: str, compiled: dict[str, tuple[Graph, Graph]]) -> None:
    graph, integer = compiled[name]
    rng = np.random.default_rng(5)
    samples = {n: smooth_samples(rng, 64, graph.type(n).shape[1:]) for n in graph.inputs}
    exact = outputs(graph, samples)
    quants = {n: integer.type(n) for n in integer.inputs}
    feeds = {
        n: np.clip(np.round(samples[n] / t.scale) + t.zero_point, -128, 127).astype(np.int8)
        for n, t in quants.items()
    }
    got = outputs(integer, feeds)
    for a, b in zip(graph.outputs, integer.outputs, strict=True):
        real = (got[b].astype(np.float64) - integer.type(b).zero_point) * integer.type(b).scale
        assert sqnr(exact[a], real) > 25.0, b


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_have_the_names_and_the_order_of_the_file(
    name: str, compiled: dict[str, tuple[Graph, Graph]]
) -> None:
    model = NETWORKS[name].build()
    for graph in compiled[name]:
        assert [graph.tensors[n].source for n in graph.inputs] == [i.name for i in model.graph.input]
        assert [graph.tensors[n].source for n in graph.outputs] == [o.name for o in model.graph.output]


def test_the_c_equals_the_reference_in_every_layer(compiled: dict[str, tuple[Graph, Graph]]) -> None:
    check_kernel([integer for _, integer in compiled.values()], 6, builds=SANITIZED)


@pytest.mark.parametrize("name", ["mobile_v3", "several", "shuffle"])
def test_a_built_library_runs_as_the_reference(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.onnx"
    onnx.save(NETWORKS[name].build(), path)
    built = mcugen.build(path, calib="random", board="host", out=tmp_path)
    library = HostLibrary(built.path)
    graph = load_graph(built.path / f"{name}.graph.npz")
    ints = random_vectors(library.inputs, 8)
    results, traces = library.run_layers(ints)
    (expected,) = run_samples(graph, dict(zip(graph.inputs, ints, strict=True)))
    for layer, trace in zip(library.layers, traces, strict=True):
        assert np.array_equal(trace, expected[layer["output"]["tensor"]].reshape(len(trace), -1)), layer[
            "name"
        ]
    for tensor, result in zip(graph.outputs, results, strict=True):
        assert np.array_equal(result.reshape(len(result), -1), expected[tensor].reshape(len(result), -1))
    largest = max(t.type.bytes for t in graph.tensors.values() if t.data is None)
    assert largest <= built.arena <= sum(t.type.bytes for t in graph.tensors.values() if t.data is None)
