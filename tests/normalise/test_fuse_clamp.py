"""Relu, ReLU6 and Clip become bounds of the layer before them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from onnx_net import Net, normalised

from mcugen.ops.op import clamp_of

INF = math.inf


def _clip(net: Net, x: str, lo: float | None, hi: float | None) -> str:
    bounds = ["" if b is None else net.constant(b) for b in (lo, hi)]
    return str(net.add("Clip", x, *bounds))


LAYERS: dict[str, Callable[[Net], str]] = {
    "conv2d": lambda net: net.conv(net.input(1, 1, 5, 5), 1, 3, 3, 3),
    "depthwise_conv2d": lambda net: net.conv(net.input(1, 2, 5, 5), 2, 2, 3, 3, group=2),
    "fully_connected": lambda net: net.dense(net.input(1, 5), 5, 3),
    "add": lambda net: str(net.add("Add", net.input(1, 5), net.input(1, 5))),
    "sub": lambda net: str(net.add("Sub", net.input(1, 5), net.input(1, 5))),
    "mul": lambda net: str(net.add("Mul", net.input(1, 5), net.input(1, 5))),
}
BOUNDS: dict[str, tuple[Callable[[Net, str], str], tuple[float, float]]] = {
    "relu": (lambda net, x: str(net.add("Relu", x)), (0.0, INF)),
    "relu6": (lambda net, x: _clip(net, x, 0.0, 6.0), (0.0, 6.0)),
    "upper": (lambda net, x: _clip(net, x, None, 0.5), (-INF, 0.5)),
    "relu of clip": (lambda net, x: str(net.add("Relu", _clip(net, x, -1.0, 0.5))), (0.0, 0.5)),
    "clip of relu": (lambda net, x: _clip(net, str(net.add("Relu", x)), 0.25, 1.0), (0.25, 1.0)),
    "apart": (lambda net, x: _clip(net, _clip(net, x, 1.0, 2.0), -1.0, 0.0), (0.0, 0.0)),
    "max and min": (
        lambda net, x: str(net.add("Min", net.add("Max", x, net.constant(0.0)), net.constant(6.0))),
        (0.0, 6.0),
    ),
}


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("layer", LAYERS)
def test_bounds_become_the_layers(layer: str, bounds: str) -> None:
    net = Net()
    build, expected = BOUNDS[bounds]
    nodes = [
        n
        for n in normalised(net.model(build(net, LAYERS[layer](net)))).nodes
        if n.op not in ("transpose", "reshape")
    ]
    assert [n.op for n in nodes] == [layer]
    assert clamp_of(nodes[0]) == expected
    assert nodes[0].fused


def test_other_readers_keep_the_function() -> None:
    net = Net()
    x = net.dense(net.input(1, 5), 5, 3)
    nodes = normalised(net.model(net.add("Relu", x), x)).nodes
    assert [n.op for n in nodes] == ["fully_connected", "unary"]


def test_relu_moves_before_a_pooling_of_maxima() -> None:
    net = Net()
    x = net.add("MaxPool", net.conv(net.input(1, 1, 6, 6), 1, 3, 3, 3), kernel_shape=[2, 2], strides=[2, 2])
    nodes = normalised(net.model(net.mean(net.add("Relu", x), [2, 3]))).nodes
    assert [n.op for n in nodes if n.op != "reshape"] == ["conv2d", "max_pool2d", "mean"]


def test_relu_stays_behind_a_pooling_of_means() -> None:
    net = Net()
    x = net.add(
        "AveragePool", net.conv(net.input(1, 1, 6, 6), 1, 3, 3, 3), kernel_shape=[2, 2], strides=[2, 2]
    )
    nodes = normalised(net.model(net.mean(net.add("Relu", x), [2, 3]))).nodes
    assert [n.op for n in nodes if n.op != "reshape"] == ["conv2d", "average_pool2d", "unary", "mean"]


def test_relu_behind_a_reshape() -> None:
    net = Net()
    x = net.reshape(net.dense(net.input(1, 5), 5, 6), 1, 2, 3)
    assert [n.op for n in normalised(net.model(net.add("Relu", x))).nodes] == ["fully_connected", "reshape"]


def test_constant_inputs_are_no_layers() -> None:
    net = Net()
    x = net.add("Relu", net.add("Add", net.input(1, 3), net.constant(np.array([1.0, -2.0, 3.0]))))
    assert [n.op for n in normalised(net.model(x)).nodes if n.op != "reshape"] == ["depthwise_conv2d"]
