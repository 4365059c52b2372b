"""transpose_conv_float32 and transpose_conv_float16 equal the exact float reference, bit by bit, which is near to the
fast one."""

from __future__ import annotations

import numpy as np
import pytest

from mcugen.ir import DType
from mcugen.ops import OPS
from tests.graphs import as_float
from tests.kernels.harness import check_kernel
from tests.kernels.test_transpose_conv_portable import random_transpose_conv


@pytest.mark.parametrize("stored", [DType.FLOAT32, DType.FLOAT16])
def test_random_transposed_convolutions(stored: DType, rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    graphs = [as_float(random_transpose_conv(rng), stored) for _ in range(25)]
    check_kernel(graphs, kernel=f"transpose_conv_{stored}")


def test_near_to_the_float_reference(rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    for _ in range(30):
        graph = as_float(random_transpose_conv(rng))
        x = rng.standard_normal((3, *graph.type("x").shape[1:])).astype(np.float32)
        xs = [x, graph.constant("w"), graph.constant("b")]
        room, node = OPS["transpose_conv"], graph.nodes[0]
        (fast,), (exact,) = room.float_reference(node, graph, xs), room.float_exact(node, graph, xs)
        assert np.allclose(fast, exact, rtol=1e-4, atol=1e-4 * float(np.abs(fast).max()))
