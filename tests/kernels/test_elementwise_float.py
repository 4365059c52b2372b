"""elementwise_float equals the exact float reference, bit by bit, over operators, broadcasting, constants, clamps."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from graphs import as_float, one_node_graph
from harness import check_kernel

from mcugen.access import Direction
from mcugen.boards import load_board
from mcugen.ir import Graph, Tensor, TensorType
from mcugen.kernels import KERNELS
from mcugen.kernels.elementwise_float import FUNCTIONS
from mcugen.ops import OPS
from tests.kernels.test_add_portable import SHAPES, random_binary
from tests.kernels.test_prelu_portable import SHAPES as SLOPES

SPECIAL = [0.0, 1.0, 1e-45, 1e-30, 3.4e38, math.inf, math.nan]


@pytest.mark.parametrize("op", FUNCTIONS)
def test_random_operands(op: str, rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    shapes = SLOPES if op == "prelu" else SHAPES
    graphs = [as_float(random_binary(op, s, rng)) for s in shapes for _ in range(3)]
    if op in ("minimum", "maximum", "prelu"):
        graphs = [one_node_graph(op, list(inputs_of(g)), {}, g.type("y")) for g in graphs]
    check_kernel(graphs, kernel="elementwise_float")


def inputs_of(graph: Graph) -> Iterator[TensorType | Tensor]:
    return (t if t.data is not None else t.type for t in (graph.tensors[n] for n in graph.nodes[0].inputs))


def test_special_values() -> None:
    """Every pair of them whose result is a number; which NaN a NaN is, is not defined."""
    numbers = np.array(SPECIAL[:-1] + [-s for s in SPECIAL[:-1]], np.float32)
    a, b = (m.reshape(1, -1) for m in np.meshgrid(numbers, numbers))
    for op in FUNCTIONS:
        graph = one_node_graph(op, [TensorType(a.shape)] * 2, {}, TensorType(a.shape))
        (y,) = OPS[op].float_exact(graph.nodes[0], graph, [a, b])
        number = ~np.isnan(y)[0]
        ttype = TensorType((1, int(number.sum())))
        check_kernel(one_node_graph(op, [ttype] * 2, {}, ttype), [v[:, number][np.newaxis] for v in (a, b)])


@pytest.mark.parametrize("op", FUNCTIONS)
def test_close_to_the_float_reference(op: str) -> None:
    a, b = np.random.default_rng(0).standard_normal((2, 1, 50)).astype(np.float32)
    graph = one_node_graph(op, [TensorType(a.shape)] * 2, {}, TensorType(a.shape))
    exact, reference = (
        f(graph.nodes[0], graph, [a, b])[0] for f in (OPS[op].float_exact, OPS[op].float_reference)
    )
    assert exact.dtype == np.float32
    np.testing.assert_allclose(exact, reference, rtol=3e-7)


def test_in_place_over_full_operands_only() -> None:
    x = TensorType((1, 4, 3))
    graph = one_node_graph("mul", [x, TensorType((1, 1, 3))], {}, x)
    full, broadcast = KERNELS["elementwise_float"].access(graph.nodes[0], graph)
    assert full is not None and full.distance(Direction.ASCENDING) == 0 and broadcast is None
    assert full.read_end[-1] == x.bytes


def test_rejects_more_loops_than_it_has() -> None:
    a, b = (2, 1) * 4, (1, 2) * 4
    deep = one_node_graph("add", [TensorType(a), TensorType(b)], {}, TensorType((2,) * 8))
    reason = KERNELS["elementwise_float"].reject(deep.nodes[0], deep, load_board("host"))
    assert "loops" in (reason or "")
