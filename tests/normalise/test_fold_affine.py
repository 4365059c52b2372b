"""Scales and offsets fold into the layer before them, whatever form they have; nothing folds where it must not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from onnx_net import Net, normalised

from mcugen.ir import Graph

BY_CHANNEL = np.array([0.5, -1.5, 2.0, 1.0]).reshape(4, 1, 1)


def _operators(net: Net, *ends: str) -> Counter[str]:
    return Counter(n.op for n in normalised(net.model(*ends)).nodes)


def _conv(net: Net) -> str:
    return net.conv(net.input(1, 3, 6, 6), 3, 4, 3, 3)


MAPS: dict[str, Callable[[Net, str], str]] = {
    "batch norm": lambda net, x: net.batch_norm(x, 4),
    "two of them": lambda net, x: net.batch_norm(net.batch_norm(x, 4), 4),
    "mul": lambda net, x: str(net.add("Mul", x, net.constant(BY_CHANNEL))),
    "mul, swapped": lambda net, x: str(net.add("Mul", net.constant(BY_CHANNEL), x)),
    "add": lambda net, x: str(net.add("Add", x, net.constant(BY_CHANNEL))),
    "sub": lambda net, x: str(net.add("Sub", x, net.constant(BY_CHANNEL))),
    "sub from": lambda net, x: str(net.add("Sub", net.constant(BY_CHANNEL), x)),
    "div": lambda net, x: str(net.add("Div", x, net.constant(BY_CHANNEL))),
    "number": lambda net, x: str(net.add("Add", net.add("Mul", x, net.constant(3.0)), net.constant(-1.0))),
    "negated": lambda net, x: str(net.add("Neg", x)),
    "all zero": lambda net, x: str(net.add("Mul", x, net.constant(np.zeros((4, 1, 1))))),
}


@pytest.mark.parametrize("name", MAPS)
def test_folds_into_a_convolution(name: str) -> None:
    net = Net()
    assert _operators(net, MAPS[name](net, _conv(net))) == Counter(conv2d=1, transpose=2)


@pytest.mark.parametrize("name", MAPS)
def test_folds_into_a_depthwise_convolution(name: str) -> None:
    net = Net()
    x = net.conv(net.input(1, 2, 6, 6), 2, 4, 3, 3, group=2)
    assert _operators(net, MAPS[name](net, x)) == Counter(depthwise_conv2d=1, transpose=2)


def test_folds_into_a_dense_layer_through_reshapes() -> None:
    net = Net()
    x = net.batch_norm(net.dense(net.input(1, 5), 5, 4), 4)
    x = net.add("Mul", net.reshape(x, 1, 1, 4), net.constant(np.array([1.0, 2.0, 3.0, 4.0])))
    assert _operators(net, net.add("Relu", x)) == Counter(fully_connected=1, reshape=1)


def test_the_bias_of_a_matmul_on_a_sequence() -> None:
    net = Net()
    assert _operators(net, net.linear(net.input(1, 7, 5), 5, 4)) == Counter(fully_connected=1)


def test_what_has_another_reader_stays() -> None:
    net = Net()
    x = _conv(net)
    assert _operators(net, net.add("Add", net.batch_norm(x, 4), x))["depthwise_conv2d"] == 1
    net = Net()
    x = _conv(net)
    assert _operators(net, net.batch_norm(x, 4), x)["depthwise_conv2d"] == 1


def test_nothing_folds_behind_an_activation() -> None:
    net = Net()
    assert _operators(net, net.batch_norm(net.add("Relu", _conv(net)), 4))["depthwise_conv2d"] == 1


@pytest.mark.parametrize("shape", [(1, 4, 4), (4, 4, 4)])
def test_constants_by_row_or_element_stay(shape: tuple[int, ...]) -> None:
    net = Net()
    c = net.constant(net.rng.standard_normal((1, 4, 1) if shape[0] == 1 else shape))
    assert _operators(net, net.add("Mul", _conv(net), c))["mul"] == 1


def test_weights_that_layers_share_are_folded_for_one_of_them() -> None:
    net = Net()
    x, w = net.input(1, 2, 4, 4), net.weights(4, 2, 3, 3)
    ends = [net.batch_norm(net.add("Conv", x, w), 4), net.add("Conv", x, w)]
    assert _operators(net, *ends)["depthwise_conv2d"] == 0


def test_what_would_leave_float32_is_not_folded() -> None:
    net = Net()
    w = net.constant(np.full((4, 3, 1, 1), 1e30))
    x = net.add("Mul", net.add("Conv", net.input(1, 3, 2, 2), w), net.constant(BY_CHANNEL * 1e20))
    graph = normalised(net.model(net.add("Tanh", x)))
    assert all(np.isfinite(t.data).all() for t in graph.tensors.values() if t.data is not None)


# --- what no layer takes: scale_channels ---


def _scaled(graph: Graph) -> Counter[str]:
    return Counter(n.op for n in graph.nodes if n.op not in ("reshape", "transpose"))


@pytest.mark.parametrize("shape", [(1, 3, 5, 5), (1, 3, 8)])
def test_normalisation_of_a_channels_first_input_is_one_layer(shape: tuple[int, ...]) -> None:
    net = Net()
    column = [3, *[1] * (len(shape) - 2)]
    x = net.add("Div", net.input(*shape), net.constant(255.0))
    x = net.add("Sub", x, net.constant(np.array([0.1, 0.2, 0.3]).reshape(column)))
    x = net.add("Div", x, net.constant(np.array([0.5, 0.4, 0.3]).reshape(column)))
    kernel = [3] * (len(shape) - 2)
    x = net.conv(x, 3, 2, *kernel, pads=[1] * (2 * len(kernel)))
    graph = normalised(net.model(net.mean(x, list(range(2, len(shape))))))
    assert _scaled(graph) == Counter(depthwise_conv2d=1, conv2d=1, mean=1)
    assert sum(n.op == "transpose" for n in graph.nodes) == 1


@pytest.mark.parametrize("shape", [(1, 6), (1, 5, 6), (1, 2, 3, 6)])
def test_scales_of_the_last_axis_are_one_layer(shape: tuple[int, ...]) -> None:
    net = Net()
    x = net.add("Sub", net.input(*shape), net.vector(6))
    graph = normalised(net.model(net.add("Tanh", net.add("Mul", x, net.vector(6, 0.5, 2.0)))))
    assert _scaled(graph) == Counter(depthwise_conv2d=1, unary=1)


def test_numbers_alone_stay_a_table() -> None:
    net = Net()
    x = net.add("Mul", net.add("Add", net.input(1, 6), net.constant(1.0)), net.constant(0.5))
    assert _scaled(normalised(net.model(net.add("Tanh", x)))) == Counter(unary=1)
