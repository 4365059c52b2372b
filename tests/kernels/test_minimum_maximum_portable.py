"""minimum_maximum_portable equals the reference over shapes, broadcasting and constants."""

from __future__ import annotations

import numpy as np
import pytest

from mcugen.boards import load_board
from mcugen.ir import Tensor, TensorType
from mcugen.kernels import KERNELS
from tests.graphs import int8_constant, int8_type, one_node_graph, random_int8
from tests.kernels.harness import check_kernel
from tests.kernels.test_add_portable import SHAPES


@pytest.mark.parametrize("op", ["minimum", "maximum"])
def test_random_operands(op: str, rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    graphs = []
    for shapes in SHAPES:
        for constant in (None, 0, 1):
            inputs: list[TensorType | Tensor] = [int8_type(s, 0.1, 4) for s in shapes]
            if constant is not None:
                inputs[constant] = int8_constant(random_int8(rng, shapes[constant]), 0.1, 4)
            graphs.append(one_node_graph(op, inputs, {}, int8_type(np.broadcast_shapes(*shapes), 0.1, 4)))
    check_kernel(graphs, kernel="minimum_maximum_portable")


def test_rejects_more_loops_than_it_has() -> None:
    a, b = (2, 1) * 4, (1, 2) * 4
    deep = one_node_graph("minimum", [int8_type(a), int8_type(b)], {}, int8_type((2,) * 8))
    kernel = KERNELS["minimum_maximum_portable"]
    assert "loops" in (kernel.reject(deep.nodes[0], deep, load_board("host")) or "")
