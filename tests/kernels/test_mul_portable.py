"""mul_portable equals the reference over shapes, broadcasting, constants, scales and clamps."""

from __future__ import annotations

import numpy as np
import pytest

from mcugen.boards import load_board
from mcugen.kernels import KERNELS
from mcugen.ops import OPS
from tests.graphs import int8_type, one_node_graph
from tests.kernels.harness import check_kernel, leave_out
from tests.kernels.test_add_portable import SHAPES, random_binary


@pytest.fixture(autouse=True)
def no_shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The general kernel alone."""
    leave_out(monkeypatch, ["mul_linear"])


def test_random_products(rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    check_kernel([random_binary("mul", s, rng) for s in SHAPES for _ in range(3)], kernel="mul_portable")


def test_rejects_what_32_bits_do_not_hold() -> None:
    board, x = load_board("host"), int8_type((1, 4), 1.0, -128)
    kernel = KERNELS["mul_portable"]
    fits = one_node_graph("mul", [x, x], {}, int8_type((1, 4), 2.0**-14, 0))
    assert kernel.reject(fits.nodes[0], fits, board) is None
    OPS["mul"].reference(fits.nodes[0], fits, [np.full((1, 4), 127, np.int8)] * 2)
    tiny = one_node_graph("mul", [x, x], {}, int8_type((1, 4), 2.0**-16, 0))
    assert "scale" in (kernel.reject(tiny.nodes[0], tiny, board) or "")
