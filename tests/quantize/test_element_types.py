"""Networks of several element types: conversions where they meet, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_kernel
from onnx_net import Net, normalised

from mcugen.calibrate.ranges import calibrate
from mcugen.ir import DType, Graph
from mcugen.pipeline import finish_graph
from mcugen.quantize.ptq import quantize


def network() -> Graph:
    """A convolution, a convolution of its output, their sum, a mean and a dense layer."""
    net = Net(seed=4)
    x = net.conv(net.input(1, 3, 6, 6, name="x"), 3, 4, 3, 3, pads=[1, 1, 1, 1])
    y = net.add("Add", x, net.conv(x, 4, 4, 1, 1))
    return normalised(net.model(net.dense(net.mean(y, [2, 3]), 4, 5)))


def built(types: dict[int, DType]) -> Graph:
    graph = network()
    samples = np.random.default_rng(5).standard_normal((8, 1, 3, 6, 6)).astype(np.float32)
    ranges = calibrate(graph, {"x": samples})
    return finish_graph(quantize(graph, ranges, {graph.nodes[i].name: t for i, t in types.items()}))


@pytest.mark.parametrize("index", range(4))
def test_one_node_in_float(index: int) -> None:
    convolutions = [i for i, n in enumerate(network().nodes) if n.op in ("conv2d", "fully_connected")]
    if index >= len(convolutions):
        return
    graph = built({convolutions[index]: DType.FLOAT32})
    ops = [n.op for n in graph.nodes]
    assert ops.count("dequantize") <= 1 and ops.count("quantize") <= 1
    check_kernel(graph, kernel="conv2d_float32")


def test_two_neighbours_in_float_meet_without_conversion() -> None:
    convolutions = [i for i, n in enumerate(network().nodes) if n.op == "conv2d"]
    graph = built(dict.fromkeys(convolutions, DType.FLOAT32))
    assert [n.op for n in graph.nodes].count("quantize") == 2  # both are added as int8
    check_kernel(graph)
