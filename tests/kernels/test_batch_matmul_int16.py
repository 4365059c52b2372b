"""batch_matmul_int16 equals the reference over shapes, transposed operands, broadcasting and constants."""

from __future__ import annotations

import numpy as np
import pytest

from tests.graphs import as_int16
from tests.kernels.harness import check_kernel
from tests.kernels.test_batch_matmul_portable import matmul
from tests.ops.test_batch_matmul import SHAPES


@pytest.mark.parametrize("adjoint", [(False, False), (True, False), (False, True), (True, True)])
def test_random_products(adjoint: tuple[bool, bool]) -> None:
    rng = np.random.default_rng(3)
    graphs = [as_int16(matmul(s, adjoint, rng, c)) for s in SHAPES for c in (None, 0, 1)]
    check_kernel(graphs, kernel="batch_matmul_int16")
