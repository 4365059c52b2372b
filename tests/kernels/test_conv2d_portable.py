"""conv2d_portable equals the reference: convolutions and dense layers, every shape, scale and zero point."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from harness import BUILDS, check_kernel
from random_conv import random_conv, random_dense

from mcugen.access import Direction
from mcugen.boards import load_board
from mcugen.kernels import KERNELS


def test_random_convolutions() -> None:
    rng = np.random.default_rng(1)
    check_kernel([random_conv(rng) for _ in range(30)], kernel="conv2d_portable")


def test_random_dense_layers() -> None:
    rng = np.random.default_rng(3)
    leads = [(1,), (1,), (5,), (1, 4), (2, 3), (1, 2, 3)]
    builds = (*BUILDS, ("gcc", ("-O1", "-DMCUGEN_VECTORS=0")))  # the loops of small cores, too
    graphs = [random_dense(rng, lead) for lead in leads for _ in range(4)]
    check_kernel(graphs, builds=builds, kernel="conv2d_portable")


def test_vectors_overlap_and_a_single_one_does_not() -> None:
    rng = np.random.default_rng(4)
    kernel = KERNELS["conv2d_portable"]
    for lead, depth_rows in (((1,), 1), ((1, 4), 4)):
        graph = random_dense(rng, lead)
        access = kernel.access(graph.nodes[0], graph)[0]
        assert access is not None
        out = graph.type(graph.outputs[0]).elements // depth_rows
        distance = access.distance(Direction.ASCENDING)
        assert distance is not None and distance >= out  # a row is read while it is written


def test_accumulators_beyond_int32_are_refused() -> None:
    graph = random_dense(np.random.default_rng(5), (1,))
    bias = np.full_like(graph.constant("b"), 2**31 - 1)
    wide = replace(graph, tensors={**graph.tensors, "b": replace(graph.tensors["b"], data=bias)})
    kernel, board = KERNELS["conv2d_portable"], load_board("host")
    assert kernel.reject(graph.nodes[0], graph, board) is None
    reason = kernel.reject(wide.nodes[0], wide, board)
    assert reason is not None and "int32" in reason
