"""conv2d_dynamic equals the definition in ops/dynamic_range, bit by bit, also on what is no number."""

from __future__ import annotations

import numpy as np
from graphs import as_float
from harness import check_kernel
from random_conv import random_conv, random_dense

from mcugen.ir import Array, Graph
from mcugen.quantize.recipes import Recipe, store_weights


def dynamic(graph: Graph) -> Graph:
    return store_weights(as_float(graph), Recipe.DYNAMIC_RANGE)


def odd_samples(graph: Graph) -> list[Array]:
    """Zeros, one value everywhere, tiny and huge values of both signs and of one, infinities and NaN."""
    shape = graph.type(graph.inputs[0]).shape
    rng = np.random.default_rng(2)
    normal = rng.standard_normal((8, *shape)).astype(np.float32)
    with np.errstate(over="ignore"):
        x = normal * np.array([0, 0, 1e-44, 1e-38, 1e38, 1, 1, 1], np.float32).reshape(8, *(1,) * len(shape))
    x[1] = 3.25
    x[2] = np.abs(normal[2]) * np.float32(1e-37)  # a step whose reciprocal is infinite
    x[5].reshape(-1)[0], x[6].reshape(-1)[0], x[7].reshape(-1)[0] = np.inf, -np.inf, np.nan
    return [x]


def test_random_convolutions() -> None:
    rng = np.random.default_rng(1)
    check_kernel([dynamic(random_conv(rng)) for _ in range(16)], kernel="conv2d_dynamic")


def test_random_dense_layers() -> None:
    rng = np.random.default_rng(3)
    graphs = [dynamic(random_dense(rng, lead)) for lead in [(1,), (5,), (1, 4), (1, 2, 3)] for _ in range(3)]
    check_kernel(graphs, kernel="conv2d_dynamic")


def test_odd_numbers() -> None:
    graph = dynamic(random_conv(np.random.default_rng(4), groups=1))
    check_kernel(graph, odd_samples(graph), kernel="conv2d_dynamic")
