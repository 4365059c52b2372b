"""svdf_portable equals the reference over shapes, ranks, zero points and both types of states, run after run."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import int8_constant, int8_type, one_node_graph
from harness import check_kernel

from mcugen.access import Direction
from mcugen.boards import load_board
from mcugen.ir import DType, Graph, Quant, Tensor, TensorType
from mcugen.kernels import KERNELS
from mcugen.kernels.svdf_portable import feature_bound, time_bound

KERNEL_OF = {DType.INT8: "svdf_portable", DType.INT16: "svdf_portable_int16"}
SHAPES = [(1, 1, 1, 1), (7, 5, 1, 4), (40, 3, 2, 10), (16, 2, 3, 8), (5, 4, 4, 1), (9, 7, 1, 2), (3, 1, 5, 6)]


def svdf(
    shape: tuple[int, int, int, int],
    state: DType,
    rng: np.random.Generator,
    zeros: tuple[int, int, int] = (0, 0, 0),
    ratios: tuple[float, float] | None = None,
    weights: int | None = None,
) -> Graph:
    """An SVDF of (inputs, units, rank, memory). `ratios` of scales: of the features and of the sums over time, by
    default such that most values fit. `weights`: all are this, the time weights the limit of their type."""
    inputs, units, rank, memory = shape
    filters, limits = units * rank, np.iinfo(state.numpy)
    features = rng.integers(-127, 128, (filters, inputs)).astype(np.int8)
    time = rng.integers(-limits.max, limits.max + 1, (filters, memory)).astype(state.numpy)
    if weights is not None:
        features[:], time[:] = weights, limits.max if weights > 0 else limits.min
    feature_ratio, time_ratio = ratios or (
        limits.max / (9000.0 * inputs**0.5),
        120.0 / (0.3 * limits.max**2 * (rank * memory) ** 0.5),
    )
    bias = rng.integers(-(1 << 12), 1 << 12, units).astype(np.int32)
    kept = TensorType((1, filters * memory), state, Quant((1.0,), (zeros[1],)))
    inputs_of_node: list[TensorType | Tensor] = [
        int8_type((1, inputs), 1.0, zeros[0]),
        int8_constant(features, feature_ratio),
        Tensor("", TensorType(time.shape, state, Quant((float(np.float32(time_ratio)),), (0,))), time),
        Tensor("", TensorType(bias.shape, DType.INT32), bias),
        kept,
    ]
    return one_node_graph(
        "svdf", inputs_of_node, {"rank": rank}, int8_type((1, units), 1.0, zeros[2]), states=[4]
    )


@pytest.mark.parametrize("state", list(KERNEL_OF))
def test_random(state: DType, rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    graphs = [
        svdf(shape, state, rng, (x, kept, y))
        for shape in SHAPES
        for x, kept, y in ((-128, 0, 127), (127, 0, -128), (5, -100, 3))
    ]
    check_kernel(graphs, 24, kernel=KERNEL_OF[state])


def test_states_of_both_types_in_one_library(rng_seed: int) -> None:
    """The odd state in front needs a byte of padding behind it."""
    rng = np.random.default_rng(rng_seed)
    graphs = [svdf((7, 1, 1, 3), DType.INT8, rng), svdf((7, 3, 2, 3), DType.INT16, rng)]
    check_kernel(graphs, kernel="svdf_portable")


@pytest.mark.parametrize("state", list(KERNEL_OF))
@pytest.mark.parametrize("weights", [127, -128])
def test_extremes(state: DType, weights: int, rng_seed: int) -> None:
    """All weights and inputs at their limits; ratios from nothing to shifts to the left, which saturate."""
    rng, graphs = np.random.default_rng(rng_seed), []
    for ratios in ((1e-12, 1e-12), (0.9, 1e-6), (1.0, 1.0), (300.0, 1e-4), (2.0**30, 2.0**30)):
        for zeros in ((-128, 0, 0), (127, 127, -128), (-128, -128, 127)):
            graphs.append(svdf((50, 2, 2, 20), state, rng, zeros, ratios, weights))
            graphs.append(svdf((50, 2, 2, 20), state, rng, zeros, ratios))
    check_kernel(graphs, 26, kernel=KERNEL_OF[state])


def test_sums_and_their_bounds(rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    graph = svdf((50, 2, 2, 20), DType.INT8, rng, (-128, -128, 0), weights=127)
    node, kernel = graph.nodes[0], KERNELS["svdf_portable"]
    bias = int(np.abs(graph.constant(node.inputs[3]).astype(np.int64)).max())
    assert feature_bound(node, graph) == 50 * 127 * 255
    assert time_bound(node, graph) == 40 * 127 * 255 + bias
    assert all("proved" in line for line in kernel.bounds(node, graph))
    wide = svdf((50, 2, 2, 20), DType.INT16, rng, weights=-128)
    assert time_bound(wide.nodes[0], wide) > 40 << 30
    assert "wraps" in KERNELS["svdf_portable_int16"].bounds(wide.nodes[0], wide)[1]


def test_what_it_rejects(rng_seed: int) -> None:
    rng, board = np.random.default_rng(rng_seed), load_board("host")
    graph = svdf((70000, 1, 1, 1), DType.INT8, rng, (-128, 0, 0), weights=127)
    why = {name: KERNELS[name].reject(graph.nodes[0], graph, board) for name in KERNEL_OF.values()}
    assert "beyond int32" in (why["svdf_portable"] or "")
    assert why["svdf_portable_int16"] == "it is for states of int16, not int8"


@pytest.mark.parametrize("units", [1, 6, 30])
def test_the_output_may_lie_anywhere_in_the_input(units: int, rng_seed: int) -> None:
    graph = svdf((12, units, 1, 2), DType.INT8, np.random.default_rng(rng_seed))
    access, *others = KERNELS["svdf_portable"].access(graph.nodes[0], graph)
    assert access is not None and access.distance(Direction.ASCENDING) == -units
    assert others == [None] * 4
