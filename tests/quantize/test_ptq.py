"""Full-integer quantization: which tensors share scales, where a requantize stands, and networks made to break it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import pytest
from harness import check_kernel
from onnx_net import Net, normalised, smooth_samples

from mcugen.calibrate.ranges import calibrate
from mcugen.check import check_graph
from mcugen.errors import InternalError, ModelError
from mcugen.execute import outputs
from mcugen.ir import Array, DType, Graph
from mcugen.ops import OPS
from mcugen.ops.op import activation_quant
from mcugen.pipeline import compile_graph
from mcugen.quantize.ptq import quantize

BUILDS = (("gcc", ("-O1", "-fsanitize=undefined", "-fno-sanitize-recover=all")),)


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    """Users shall see no warnings of numpy."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def _quantized(graph: Graph, samples: dict[str, Array] | None = None) -> Graph:
    rng = np.random.default_rng(0)
    given = samples or {n: smooth_samples(rng, 32, graph.type(n).shape[1:]) for n in graph.inputs}
    return check_graph(quantize(graph, calibrate(graph, given)), "quantization")


def _quants(graph: Graph, op: str) -> list[Any]:
    return [graph.type(n.outputs[0]).quant for n in graph.nodes if n.op == op]


# --- who shares what ---


def test_operators_that_move_data_share_the_quantization() -> None:
    net = Net()
    x = net.conv(net.input(1, 2, 8, 8), 2, 4, 3, 3)
    x = net.add(
        "Slice", net.add("MaxPool", x, kernel_shape=[2, 2]), *(net.constant(np.array([v])) for v in (1, 4, 1))
    )
    graph = _quantized(normalised(net.model(net.reshape(x, 1, -1))))
    kinds = ("conv2d", "max_pool2d", "slice", "reshape")
    assert len({graph.type(n.outputs[0]).quant for n in graph.nodes if n.op in kinds}) == 1
    assert "requantize" not in {n.op for n in graph.nodes}


def test_a_shared_quantization_covers_all_ranges() -> None:
    net = Net()
    a, b = net.input(1, 3, name="a"), net.input(1, 3, name="b")
    graph = normalised(net.model(net.add("Concat", a, b, axis=1)))
    samples = {"a": np.array([[-1.0, 0, 2.0]], np.float32), "b": np.array([[0, 5.0, 1.0]], np.float32)}
    integer = _quantized(graph, samples)
    assert integer.type("a").quant == integer.type("b").quant == activation_quant(-1.0, 5.0)


def test_fixed_quantizations_meet_over_a_requantize() -> None:
    net = Net()
    x = net.input(1, 4)
    y = net.add("Concat", net.add("Sigmoid", net.dense(x, 4, 3)), net.add("Tanh", net.dense(x, 4, 3)), axis=1)
    graph = _quantized(normalised(net.model(y)))
    assert [n.op for n in graph.nodes].count("requantize") == 1
    check_kernel(graph, 4, builds=BUILDS)


@pytest.mark.parametrize("tanh_first", [True, False])
def test_a_fixed_quantization_does_not_cut_off_a_wider_range(tanh_first: bool) -> None:
    net = Net()
    x = net.input(1, 4)
    parts = [net.add("Tanh", x), net.add("Mul", net.dense(x, 4, 3), net.constant(4.0))]
    y = net.add("Concat", *(parts if tanh_first else parts[::-1]), axis=1)
    float_graph = normalised(net.model(y))
    graph = _quantized(float_graph)
    (concat,) = _quants(graph, "concat")
    assert concat.scale[0] > 4 / 128
    assert _quants(graph, "fully_connected") == [concat]
    assert _quants(graph, "requantize") == [concat]
    assert _quants(graph, "unary") != [concat]


def test_a_fixed_quantization_takes_in_what_fits() -> None:
    net = Net()
    x = net.input(1, 4)
    y = net.add(
        "Concat", net.add("Tanh", x), net.add("Clip", x, net.constant(-0.5), net.constant(0.5)), axis=1
    )
    graph = _quantized(normalised(net.model(y)))
    assert "requantize" not in {n.op for n in graph.nodes}
    assert _quants(graph, "concat") == [
        OPS["unary"].fixed_quant(next(n for n in graph.nodes if n.op == "unary"))
    ]


def test_every_input_of_another_scale_is_rescaled() -> None:
    """Sigmoid and tanh have fixed scales of their own, and a concat has a third."""
    net = Net()
    x = net.input(1, 4)
    y = net.add(
        "Concat", net.add("Sigmoid", x), net.add("Tanh", x), net.add("Mul", x, net.constant(5.0)), axis=1
    )
    graph = _quantized(normalised(net.model(y)))
    concat = next(n for n in graph.nodes if n.op == "concat")
    assert {graph.type(i).quant for i in concat.inputs} == {graph.type(concat.outputs[0]).quant}


def test_shared_weights_are_quantized_for_each_reader() -> None:
    net = Net()
    w, b = net.weights(4, 4), net.vector(4)
    x = net.add("Gemm", net.input(1, 4), w, b, transB=1)
    y = net.add("Gemm", net.add("Mul", x, net.constant(3.0)), w, b, transB=1)
    z = net.add("Gemm", net.add("Relu", y), w, b, transB=1)
    graph = _quantized(normalised(net.model(z)))
    for node in graph.nodes:
        if node.op == "fully_connected":
            x_type, w_type, b_type = (graph.type(i) for i in node.inputs)
            assert w_type.quant and b_type.quant
            scales = [x_type.scale * s for s in w_type.quant.scale]
            assert list(b_type.quant.scale) == pytest.approx(scales, rel=1e-12)
    check_kernel(graph, 4, builds=BUILDS)


def test_a_tensor_without_a_range_is_a_bug() -> None:
    net = Net()
    graph = normalised(net.model(net.add("Tanh", net.input(1, 4), name="y")))
    with pytest.raises(InternalError, match="y: has no range"):
        quantize(graph, {"in0": (0.0, 1.0)})


# --- networks made to break it ---


def _network(weight: float = 1.0, bias: float = 1.0, function: str = "Relu", zero: str = "") -> Net:
    """A convolution with batch normalization, a residual sum, a mean and a dense layer."""
    net = Net()
    w, b = net.rng.standard_normal((4, 3, 3, 3)), net.rng.standard_normal(4)
    if zero == "channels":
        w[1] = 0.0
        w[:, 2] = 0.0
    elif zero:
        w[:] = 0.0
    x = net.add("Conv", net.input(1, 3, 6, 6, name="x"), net.constant(w * weight), net.constant(b * bias))
    y = net.add(function, x)
    net.dense(net.mean(net.add("Mul", net.add("Add", x, y), net.constant(0.5)), [2, 3]), 4, 5)
    return net


def _whole(net: Net) -> onnx.ModelProto:
    return net.model(net.nodes[-1].output[0])


ADVERSARIES: dict[str, tuple[Net, float]] = {
    "tiny weights": (_network(1e-30, 1e-30), 1.0),
    "denormal weights": (_network(1e-42, 1e-42), 1.0),
    "huge weights": (_network(1e30), 1.0),
    "tiny data": (_network(), 1e-30),
    "denormal data": (_network(bias=0.0), 1e-44),
    "huge data": (_network(), 1e30),
    "huge data, tiny weights": (_network(1e-35), 1e35),
    "huge bias": (_network(bias=1e30), 1.0),
    "bias far above weights": (_network(1e-6, 1e6), 1.0),
    "zero weights": (_network(zero="all"), 1.0),
    "all zero": (_network(bias=0.0, zero="all"), 1.0),
    "zero channels": (_network(zero="channels"), 1.0),
    "zero data": (_network(), 0.0),
    "leaky": (_network(1e-30, 1e30, "LeakyRelu"), 1.0),
    "hard swish far out": (_network(1e15, function="HardSwish"), 1.0),
    "hard swish at zero": (_network(1e-20, 1e-20, "HardSwish"), 1.0),
    "exp": (_network(function="Exp"), 1.0),
    "tanh of nothing": (_network(bias=0.0, function="Tanh", zero="all"), 1.0),
}


@pytest.fixture(scope="module")
def adversaries() -> dict[str, tuple[Graph, Graph, Array]]:
    result = {}
    for name, (net, scale) in ADVERSARIES.items():
        graph = normalised(_whole(net))
        samples = (smooth_samples(np.random.default_rng(1), 32, (3, 6, 6)) * np.float32(scale)).astype(
            np.float32
        )
        result[name] = graph, compile_graph(graph, calibrate(graph, {"x": samples})), samples
    return result


@pytest.mark.parametrize("name", ADVERSARIES)
def test_adversaries_keep_their_meaning(
    name: str, adversaries: dict[str, tuple[Graph, Graph, Array]]
) -> None:
    graph, integer, samples = adversaries[name]
    x, y = integer.type("x"), integer.type(integer.outputs[0])
    exact = outputs(graph, {"x": samples})[graph.outputs[0]].astype(np.float64)
    q = np.clip(np.round(samples / x.scale) + x.zero_point, -128, 127).astype(np.int8)
    real = (outputs(integer, {"x": q})[integer.outputs[0]].astype(np.float64) - y.zero_point) * y.scale
    assert np.sum(np.square(exact - real)) <= 0.01 * np.sum(np.square(exact))


def test_adversaries_in_c(adversaries: dict[str, tuple[Graph, Graph, Array]]) -> None:
    check_kernel([integer for _, integer, _ in adversaries.values()], 6, builds=BUILDS)


@pytest.mark.parametrize("value", [0.0, 5.0, -5.0])
def test_constant_data(value: float) -> None:
    graph = normalised(_whole(_network()))
    samples = np.full((4, 3, 6, 6), value, np.float32)
    integer = compile_graph(graph, calibrate(graph, {"x": samples}))
    assert integer.type("x").dtype == DType.INT8
    quant = integer.type("x").quant
    assert quant == activation_quant(value, value)


def test_one_sample() -> None:
    graph = normalised(_whole(_network()))
    samples = smooth_samples(np.random.default_rng(1), 1, (3, 6, 6))
    check_kernel(compile_graph(graph, calibrate(graph, {"x": samples})), 4, builds=BUILDS)


def test_infinities_are_told_where_they_begin() -> None:
    net = Net()
    x = net.add("Exp", net.add("Mul", net.input(1, 4, name="x"), net.constant(1000.0)), name="e")
    y = net.add("Softmax", net.dense(x, 4, 3))
    graph = normalised(net.model(y))
    with pytest.raises(ModelError) as caught:
        calibrate(graph, {"x": np.full((2, 4), 3.0, np.float32)})
    assert [f.where for f in caught.value.faults] == ['onnx:Exp "e"']
