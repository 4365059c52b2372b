"""Zero padding written as a node becomes the convolution's own."""

from __future__ import annotations

import numpy as np
import pytest
from onnx_net import Net, normalised

from mcugen.ir import Node


def _nodes(net: Net, *ends: str) -> list[Node]:
    return [n for n in normalised(net.model(*ends)).nodes if n.op not in ("transpose", "reshape")]


def _pad(net: Net, x: str, pads: list[int], value: float = 0.0) -> str:
    return str(net.add("Pad", x, net.constant(np.array(pads)), net.constant(value)))


@pytest.mark.parametrize("group", [1, 2])
def test_image(group: int) -> None:
    net = Net()
    x = _pad(net, net.input(1, 2, 5, 6), [0, 0, 1, 0, 0, 0, 2, 3])
    (conv,) = _nodes(net, net.conv(x, 2, 2, 3, 3, group=group, pads=[0, 1, 0, 1], strides=[2, 1]))
    assert conv.attrs["pads"] == (1, 1, 2, 4)
    assert any("Pad" in origin for origin in conv.fused)


def test_signal_in_both_forms() -> None:
    net = Net()
    x = _pad(net, net.input(1, 2, 9), [0, 0, 4, 0, 0, 1])
    (conv,) = _nodes(net, net.conv(x, 2, 3, 3, dilations=[2]))
    assert conv.attrs["pads"] == (4, 0, 1, 0)
    net = Net()  # Keras's: [1, L, C] as an image of one row
    x = net.add("Unsqueeze", _pad(net, net.input(1, 9, 2), [0, 4, 0, 0, 1, 0]), net.constant(np.array([1])))
    (conv,) = _nodes(net, net.conv(net.add("Transpose", x, perm=[0, 3, 1, 2]), 2, 3, 1, 3))
    assert conv.attrs["pads"] == (0, 4, 0, 1)


def test_two_readers_with_one_padding() -> None:
    net = Net()
    x = net.input(1, 2, 9)
    padded = _pad(net, x, [0, 0, 2, 0, 0, 0])
    ends = [net.conv(padded, 2, 3, 3), net.conv(padded, 2, 3, 3), net.conv(x, 2, 3, 1)]
    assert [n.op for n in _nodes(net, *ends)] == ["conv2d"] * 3


@pytest.mark.parametrize(
    ("pads", "value"),
    [([0, 1, 1, 1, 0, 0, 1, 1], 0.0), ([0, 0, 1, 1, 0, 0, 1, 1], 0.5), ([0, 0, 1, 1, 0, 1, 1, 1], 0.0)],
)
def test_other_paddings_stay(pads: list[int], value: float) -> None:
    net = Net()
    channels = 2 + pads[1] + pads[5]
    x = _pad(net, net.input(1, 2, 5, 5), pads, value)
    assert [n.op for n in _nodes(net, net.conv(x, channels, 3, 3, 3))] == ["pad", "conv2d"]


def test_a_reshape_that_is_more_than_a_new_axis_stays() -> None:
    net = Net()
    x = _pad(net, net.input(1, 6, 2), [0, 2, 0, 0, 0, 0])
    x = net.add("Transpose", net.reshape(x, 1, 4, 2, 2), perm=[0, 3, 1, 2])
    assert [n.op for n in _nodes(net, net.conv(x, 2, 3, 3, 1))] == ["pad", "conv2d"]


def test_poolings_do_not_see_zeros() -> None:
    net = Net()
    x = _pad(net, net.input(1, 1, 5, 5), [0, 0, 1, 1, 0, 0, 1, 1])
    assert [n.op for n in _nodes(net, net.add("MaxPool", x, kernel_shape=[2, 2]))] == ["pad", "max_pool2d"]
