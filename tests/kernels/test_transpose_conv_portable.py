"""transpose_conv_portable equals the reference over random shapes, strides, padding, groups and quantization."""

from __future__ import annotations

import numpy as np
from random_conv import random_zero_point, weighted

from mcugen.boards import load_board
from mcugen.ir import Graph, Node, Tensor
from mcugen.kernels import KERNELS
from mcugen.ops import OPS
from tests.graphs import int8_type, one_node_graph
from tests.kernels.harness import check_kernel


def random_transpose_conv(rng: np.random.Generator) -> Graph:
    """One integer transposed convolution with everything random; rows that no input reaches among them."""
    groups = int(rng.choice([1, 1, 1, 2, 3]))
    ci, co = groups * int(rng.integers(1, 6)), groups * int(rng.integers(1, 6))
    kh, kw, sh, sw, h, w = (int(v) for v in rng.integers(1, 5, 6))
    top, left = int(rng.integers(0, kh)), int(rng.integers(0, kw))
    bottom = min(int(rng.integers(-2, kh)), (h - 1) * sh + kh - top - 1)
    right = min(int(rng.integers(-2, kw)), (w - 1) * sw + kw - left - 1)
    attrs = {
        "strides": (sh, sw),
        "pads": (top, left, bottom, right),
        "groups": groups,
        "clamp": (0.0, 6.0) if rng.random() < 0.3 else (-np.inf, np.inf),
    }
    x = Tensor("x", int8_type((1, h, w, ci), 0.05, random_zero_point(rng)))
    weights, bias = weighted(rng, (co, kh, kw, ci // groups))
    node = Node("y", "transpose_conv", (), (), attrs)
    (shape,) = OPS["transpose_conv"].infer(node, [x.type, weights.type, bias.type])
    y = int8_type(shape.shape, 0.3, random_zero_point(rng))
    return one_node_graph("transpose_conv", [x, weights, bias], attrs, y)


def test_random_transposed_convolutions(rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    graphs = [random_transpose_conv(rng) for _ in range(40)]
    check_kernel(graphs, kernel="transpose_conv_portable")


def test_access_covers_what_each_row_reads(rng_seed: int) -> None:
    """Rows from the reference's definition: input i reaches the padded rows i * stride .. i * stride + kh - 1."""
    rng = np.random.default_rng(rng_seed)
    for _ in range(50):
        graph = random_transpose_conv(rng)
        node = graph.nodes[0]
        access = KERNELS["transpose_conv_portable"].access(node, graph)[0]
        _, h, w, c = graph.type("x").shape
        kh = graph.type("w").shape[1]
        for row in range(graph.type("y").shape[1]):
            place, stride = row + node.attrs["pads"][0], node.attrs["strides"][0]
            read = [i for i in range(h) if i * stride <= place < i * stride + kh]
            begin, end = access.read_begin[row], access.read_end[row]
            assert (begin, end) == (read[0] * w * c, (read[-1] + 1) * w * c) if read else begin == end


def test_rejects_what_int32_does_not_hold(rng_seed: int) -> None:
    graph = random_transpose_conv(np.random.default_rng(rng_seed))
    kernel = KERNELS["transpose_conv_portable"]
    assert kernel.reject(graph.nodes[0], graph, load_board("host")) is None
    graph.tensors["b"].data[:] = (1 << 31) - 1  # type: ignore[index]
    assert "int32" in (kernel.reject(graph.nodes[0], graph, load_board("host")) or "")
