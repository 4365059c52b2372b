"""conv2d_int16x8_dsp equals the reference: on this computer through its twin, and on emulated cores."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import as_int16
from harness import check_kernel, check_on_board, leave_out
from random_conv import random_conv, random_dense
from test_conv2d_int16x8 import widened

from mcugen.ir import DType, Graph
from mcugen.kernels import KERNELS

KERNEL = KERNELS["conv2d_int16x8_dsp"]
BOARD = "cortex-m4"


def graphs(seed: int) -> list[Graph]:
    """Convolutions and dense layers with sums of 32 bits, rounded once and twice, and of 64."""
    rng = np.random.default_rng(seed)
    found = [as_int16(random_conv(rng), bias) for bias in (DType.INT64, DType.INT32) for _ in range(10)]
    found += [as_int16(random_dense(rng, (1, 3), depth), DType.INT64) for depth in (1, 2, 3, 4, 7, 30, 1533)]
    return [*found, widened(as_int16(random_conv(rng)), rng.integers(-(1 << 46), 1 << 46))]


@pytest.fixture(autouse=True)
def runs_of_any_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short runs are exact, too, if not fast."""
    monkeypatch.setattr("mcugen.kernels.conv2d_int16x8_dsp.SHORTEST", 1)
    leave_out(monkeypatch, ["conv2d_int16x8"])


def test_all_kinds_of_sums() -> None:
    drawn = graphs(1)
    names = {KERNEL.variant(g.nodes[0], g)[0] for g in drawn}
    assert names == {KERNEL.name, f"{KERNEL.name}_twice", f"{KERNEL.name}_wide"}
    check_kernel(drawn, board=BOARD, kernel=KERNEL.name)


@pytest.mark.slow
@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m7", "cortex-m33"])
def test_on_board(core: str) -> None:
    check_on_board(graphs(2), core)
