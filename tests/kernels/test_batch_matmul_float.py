"""batch_matmul_float equals the exact float reference, bit by bit, which is near to the fast one."""

from __future__ import annotations

import numpy as np
import pytest

from mcugen.access import Direction
from mcugen.boards import load_board
from mcugen.ir import DType
from mcugen.kernels import KERNELS
from mcugen.ops import OPS
from tests.graphs import as_float
from tests.kernels.harness import check_kernel
from tests.kernels.test_batch_matmul_portable import matmul
from tests.ops.test_batch_matmul import SHAPES

KERNEL = KERNELS["batch_matmul_float"]


@pytest.mark.parametrize("adjoint", [(False, False), (True, False), (False, True), (True, True)])
def test_random_products(adjoint: tuple[bool, bool], rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    graphs = [as_float(matmul(s, adjoint, rng, c)) for s in SHAPES for c in (None, 0, 1)]
    check_kernel(graphs, kernel="batch_matmul_float")


def test_near_to_the_float_reference(rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    for shapes in SHAPES:
        for adjoint in ((False, False), (True, True)):
            graph = as_float(matmul(shapes, adjoint, rng))
            xs = [rng.standard_normal(graph.type(i).shape).astype(np.float32) for i in graph.inputs]
            room, node = OPS["batch_matmul"], graph.nodes[0]
            (fast,), (exact,) = room.float_reference(node, graph, xs), room.float_exact(node, graph, xs)
            assert fast.shape == exact.shape and np.allclose(fast, exact, rtol=1e-4, atol=1e-5)


def test_rows_overlap_in_bytes(rng_seed: int) -> None:
    graph = as_float(matmul(((1, 4, 6, 5), (1, 4, 5, 3)), (False, False), np.random.default_rng(rng_seed)))
    a, b = KERNEL.access(graph.nodes[0], graph)
    assert a is not None and b is None and a.distance(Direction.ASCENDING) == 4 * 3


def test_other_elements_are_refused(rng_seed: int) -> None:
    graph = as_float(matmul(SHAPES[0], (False, False), np.random.default_rng(rng_seed), 1), DType.FLOAT16)
    assert KERNEL.reject(graph.nodes[0], graph, load_board("host")) == "an operand of float16 elements"
