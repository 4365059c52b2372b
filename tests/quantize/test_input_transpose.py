"""A channels-first input is read by the first convolution itself: same bytes, no copy in the arena."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_kernel
from random_conv import random_conv

from mcugen.execute import run
from mcugen.ir import Graph, Node, Tensor, TensorType
from mcugen.quantize.input_transpose import fuse_input_transpose


def behind_transpose(graph: Graph) -> Graph:
    """The convolution's graph with a channels-first input and a transpose in front."""
    n, h, w, c = graph.type("x").shape
    first = TensorType((n, c, h, w), graph.type("x").dtype, graph.type("x").quant)
    transpose = Node("x", "transpose", ("image",), ("x",), {"perm": (0, 2, 3, 1)}, "layout")
    tensors = {"image": Tensor("image", first), **graph.tensors}
    return Graph("chw", ("image",), graph.outputs, (transpose, *graph.nodes), tensors)


@pytest.mark.parametrize("seed", range(20))
def test_same_bytes_without_the_transpose(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = behind_transpose(random_conv(rng, groups=1))
    fused = fuse_input_transpose(graph)
    assert [n.op for n in fused.nodes] == ["conv2d"] and fused.nodes[0].fused == ("layout",)
    x = rng.integers(-128, 128, (3, *graph.type("image").shape[1:])).astype(np.int8)
    assert np.array_equal(run(graph, {"image": x})["y"], run(fused, {"image": x})["y"])


def test_groups_keep_the_transpose() -> None:
    graph = behind_transpose(random_conv(np.random.default_rng(0), groups=2))
    assert [n.op for n in fuse_input_transpose(graph).nodes] == ["transpose", "conv2d"]


def test_the_kernel_reads_planes() -> None:
    rng = np.random.default_rng(7)
    check_kernel([fuse_input_transpose(behind_transpose(random_conv(rng, groups=1))) for _ in range(25)])


@pytest.mark.parametrize("seed", range(5))
def test_signals_are_images_of_width_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    conv = random_conv(rng, groups=1)
    while conv.type("x").shape[2] != 1:  # a kernel of width 1 over a width of 1
        conv = random_conv(rng, groups=1)
    n, length, _, c = conv.type("x").shape
    kind = conv.type("x")
    types = {"signal": (n, c, length), "turned": (n, length, c)}
    nodes = [
        Node("turned", "transpose", ("signal",), ("turned",), {"perm": (0, 2, 1)}, "layout"),
        Node("x", "reshape", ("turned",), ("x",), {"shape": kind.shape}, "layout"),
        *conv.nodes,
    ]
    tensors = {k: Tensor(k, TensorType(v, kind.dtype, kind.quant)) for k, v in types.items()} | dict(
        conv.tensors
    )
    graph = Graph("signal", ("signal",), conv.outputs, tuple(nodes), tensors)
    fused = fuse_input_transpose(graph)
    assert [n.op for n in fused.nodes] == ["reshape", "conv2d"]
    x = rng.integers(-128, 128, (3, c, length)).astype(np.int8)
    assert np.array_equal(run(graph, {"signal": x})["y"], run(fused, {"signal": x})["y"])
