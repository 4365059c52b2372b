"""batch_matmul_portable equals the reference over shapes, transposed operands, broadcasting and constants."""

from __future__ import annotations

import numpy as np
import pytest

from mcugen.access import Direction
from mcugen.boards import load_board
from mcugen.ir import Graph, Tensor, TensorType
from mcugen.kernels import KERNELS
from mcugen.kernels.batch_matmul_portable import accumulator_bound
from tests.graphs import int8_constant, int8_type, one_node_graph, random_int8
from tests.kernels.harness import check_kernel
from tests.ops.test_batch_matmul import SHAPES, turned


def matmul(
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
    adjoint: tuple[bool, bool],
    rng: np.random.Generator,
    constant: int | None = None,
) -> Graph:
    """A product with random zero points and clamp."""
    a, b = shapes
    rank = max(len(a), len(b))
    a, b = ((1,) * (rank - len(s)) + s for s in (a, b))
    zeros = [int(z) for z in rng.choice([-128, 127, *rng.integers(-128, 128, 4)], 3)]
    inputs: list[TensorType | Tensor] = []
    for number, (shape, turn) in enumerate(zip((a, b), adjoint, strict=True)):
        operand = int8_type(turned(shape, turn), 0.04, zeros[number])
        data = random_int8(rng, operand.shape)
        inputs.append(int8_constant(data, 0.04, zeros[number]) if number == constant else operand)
    out = (*np.broadcast_shapes(a[:-2], b[:-2]), a[-2], b[-1])
    attrs = {
        "adj_x": adjoint[0],
        "adj_y": adjoint[1],
        "clamp": (0.0, 6.0) if rng.random() < 0.3 else (-9.0, 9.0),
    }
    return one_node_graph(
        "batch_matmul", inputs, attrs, int8_type(out, float(rng.uniform(0.01, 0.6)), zeros[2])
    )


@pytest.mark.parametrize("adjoint", [(False, False), (True, False), (False, True), (True, True)])
def test_random_products(adjoint: tuple[bool, bool], rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    graphs = [matmul(s, adjoint, rng, c) for s in SHAPES for c in (None, 0, 1)]
    check_kernel(graphs, kernel="batch_matmul_portable")


def test_extremes_fit_the_accumulator() -> None:
    a, b = int8_type((1, 1, 33025), 1.0, 127), int8_type((1, 33025, 1), 1.0, -128)
    attrs = {"adj_x": False, "adj_y": False}
    graph = one_node_graph("batch_matmul", [a, b], attrs, int8_type((1, 1, 1), 2.0**25))
    assert accumulator_bound(graph.nodes[0], graph) == 33025 * 255 * 255 < 1 << 31
    samples = [np.full((1, 1, 1, 33025), -128, np.int8), np.full((1, 1, 33025, 1), 127, np.int8)]
    check_kernel(graph, samples)


def test_a_narrow_product_overlaps_its_first_operand(rng_seed: int) -> None:
    graph = matmul(((1, 4, 6, 5), (1, 4, 5, 3)), (False, False), np.random.default_rng(rng_seed))
    a, b = KERNELS["batch_matmul_portable"].access(graph.nodes[0], graph)
    # the last row's output ends where that row's input begins, or later: 23 * 5 bytes against 24 * 3
    assert a is not None and b is None and a.distance(Direction.ASCENDING) == 3
    for adjoint, shapes in (
        ((True, False), ((1, 5, 5), (1, 5, 3))),
        ((False, False), ((1, 1, 6, 5), (1, 4, 5, 3))),
    ):
        graph = matmul(shapes, adjoint, np.random.default_rng(rng_seed))
        assert KERNELS["batch_matmul_portable"].access(graph.nodes[0], graph) == (None, None)


def test_rejects_more_loops_than_it_has() -> None:
    a, b = (*(2, 1) * 3, 1, 1), (*(1, 2) * 3, 1, 1)
    attrs = {"adj_x": False, "adj_y": False}
    deep = one_node_graph("batch_matmul", [int8_type(a), int8_type(b)], attrs, int8_type((*(2,) * 6, 1, 1)))
    kernel = KERNELS["batch_matmul_portable"]
    assert "loops" in (kernel.reject(deep.nodes[0], deep, load_board("host")) or "")
