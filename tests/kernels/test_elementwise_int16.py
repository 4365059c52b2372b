"""elementwise_int16 equals the reference: every operator, broadcasting, constants, clamps and far scales."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from graphs import int16_type, one_node_graph, random_int16
from harness import check_kernel

from mcugen.boards import load_board
from mcugen.ir import Graph, Tensor
from mcugen.kernels import KERNELS

KERNEL = KERNELS["elementwise_int16"]
SHAPES = [((1, 40), (1, 40)), ((1, 5, 1, 8), (1, 1, 6, 8)), ((1, 7, 3), (1, 1, 1)), ((1, 1, 5), (1, 4, 5))]


def graph_of(op: str, rng: np.random.Generator, shapes: tuple[tuple[int, ...], ...], constant: bool) -> Graph:
    a, b = (int16_type(s, scale) for s, scale in zip(shapes, 2.0 ** rng.uniform(-16, -6, 2), strict=True))
    scale = a.scale * b.scale * 20000.0 if op == "mul" else max(a.scale, b.scale) * 2.0 ** rng.uniform(-2, 3)
    if op in ("minimum", "maximum"):
        b = replace(b, quant=a.quant)
        scale = a.scale
    y = int16_type(np.broadcast_shapes(*shapes), scale)
    clamp = (-0.01, 0.01) if rng.random() < 0.3 else (-np.inf, np.inf)
    operand = Tensor("c", b, random_int16(rng, b.shape)) if constant else b
    return one_node_graph(op, [a, operand], {} if op.startswith("m") and op != "mul" else {"clamp": clamp}, y)


@pytest.mark.parametrize("op", KERNEL.ops)
def test_random_operands(op: str) -> None:
    rng = np.random.default_rng(1)
    graphs = [graph_of(op, rng, shapes, constant) for shapes in SHAPES for constant in (False, True)]
    check_kernel(graphs, inputs=12, kernel=KERNEL.name)


@pytest.mark.parametrize("op", ["add", "mul"])
def test_results_that_leave_32_bits_are_refused(op: str) -> None:
    board, a = load_board("host"), int16_type((1, 4), 1.0)
    for scale, fits in ((4.0, True), (2.0**-16, False)):
        graph = one_node_graph(op, [a, a], {}, int16_type((1, 4), scale))
        assert (KERNEL.reject(graph.nodes[0], graph, board) is None) == fits
