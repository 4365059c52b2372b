"""What every test may use. Test data lies in examples/: no test downloads anything."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "mcugen",
    derandomize=True,  # the same examples in every run
    deadline=None,  # a compiler's run takes as long as it takes
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("mcugen")

REPOSITORY = Path(__file__).resolve().parent.parent

# Compiled host twins: not among the user's own; `make clean` removes them.
os.environ["MCUGEN_CACHE"] = str(REPOSITORY / "build" / "test-cache")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout's root."""
    return REPOSITORY


@pytest.fixture(scope="session")
def models() -> dict[str, Path]:
    """The float ONNX models of MLPerf Tiny by short name: ad, ic, kws, sww, vww."""
    found = {
        path.name.removesuffix("_float.onnx"): path
        for path in (REPOSITORY / "examples/models").glob("*.onnx")
    }
    assert set(found) == {"ad", "ic", "kws", "sww", "vww"}
    return found


@pytest.fixture(scope="session")
def kws_calib() -> Path:
    """100 real clips to calibrate kws: `input` float32 [100, 49, 10, 1], `y` uint8 [100]."""
    return REPOSITORY / "examples/kws/kws_calib.npz"


@pytest.fixture(scope="session")
def kws_test() -> Path:
    """100 other clips to score kws, as kws_calib."""
    return REPOSITORY / "examples/kws/kws_test.npz"


@pytest.fixture(scope="session")
def rng_seed() -> int:
    """The one seed of tests that draw their own numbers."""
    return 20
