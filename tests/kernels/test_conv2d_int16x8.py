"""conv2d_int16x8 equals the reference: convolutions and dense layers, all three kinds of sums."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from graphs import as_int16
from harness import check_kernel
from random_conv import random_conv, random_dense

from mcugen.boards import load_board
from mcugen.ir import Array, DType, Graph
from mcugen.kernels import KERNELS
from mcugen.kernels.conv2d_portable import accumulator_bound

KERNEL = KERNELS["conv2d_int16x8"]


def variants(graphs: list[Graph]) -> set[str]:
    return {KERNEL.variant(g.nodes[0], g)[0] for g in graphs}


@pytest.mark.parametrize("bias", [DType.INT64, DType.INT32])
def test_random_convolutions(bias: DType) -> None:
    rng = np.random.default_rng(1)
    check_kernel([as_int16(random_conv(rng), bias) for _ in range(24)], kernel=KERNEL.name)


@pytest.mark.parametrize("bias", [DType.INT64, DType.INT32])
def test_random_dense_layers(bias: DType) -> None:
    rng = np.random.default_rng(3)
    leads = [(1,), (1,), (5,), (1, 4), (2, 3), (1, 2, 3)]
    graphs = [as_int16(random_dense(rng, lead), bias) for lead in leads for _ in range(3)]
    assert variants(graphs) == {KERNEL.name if bias is DType.INT64 else f"{KERNEL.name}_twice"}
    check_kernel(graphs, kernel=KERNEL.name)


def widened(graph: Graph, values: Array) -> Graph:
    """With another bias."""
    bias = replace(
        graph.tensors["b"], data=np.broadcast_to(values, graph.tensors["b"].shape).astype(np.int64)
    )
    return replace(graph, tensors={**graph.tensors, "b": bias})


def test_sums_of_64_bits() -> None:
    rng = np.random.default_rng(4)
    graphs = [widened(as_int16(random_conv(rng)), rng.integers(-(1 << 46), 1 << 46)) for _ in range(8)] + [
        as_int16(random_dense(rng, (1,), depth)) for depth in (1500, 1533, 3000)
    ]
    assert variants(graphs) == {f"{KERNEL.name}_wide"}
    check_kernel(graphs, kernel=KERNEL.name)


def test_both_kinds_of_sums_in_one_library() -> None:
    rng = np.random.default_rng(5)
    graphs = [as_int16(random_dense(rng, (1,))), as_int16(random_dense(rng, (1,), 2000))]
    assert len(variants(graphs)) == 2
    check_kernel(graphs, kernel=KERNEL.name)


def test_accumulators_that_do_not_fit_are_refused() -> None:
    graph, board = as_int16(random_dense(np.random.default_rng(6), (1,))), load_board("host")
    assert KERNEL.reject(graph.nodes[0], graph, board) is None
    wide = widened(graph, np.array((1 << 47) - 1))
    assert accumulator_bound(wide.nodes[0], wide) > 1 << 47
    reason = KERNEL.reject(wide.nodes[0], wide, board)
    assert reason is not None and "accumulator" in reason
    narrow = as_int16(random_dense(np.random.default_rng(7), (1,), 3000), DType.INT32)
    assert KERNEL.reject(narrow.nodes[0], narrow, board) is not None
