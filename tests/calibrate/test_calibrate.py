"""The choice of a method, and what the manifest and the notes say of the data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zoo

import mcugen
from mcugen.calibrate.calibrate import Wishes, choose_method
from mcugen.calibrate.ranges import Method
from mcugen.errors import UsageError
from mcugen.ir import Array


@pytest.fixture(scope="module")
def x() -> Array:
    return np.random.default_rng(7).standard_normal((24, 1, 4, 4)).astype(np.float32)


@pytest.mark.parametrize(
    ("wishes", "method"),
    [
        ({}, Method()),
        ({"method": "minmax"}, Method()),
        ({"percentile": 99.0}, Method("percentile", 99.0)),
        ({"method": "percentile"}, Method("percentile", 99.99)),
        ({"method": "percentile", "percentile": 90.0}, Method("percentile", 90.0)),
        ({"method": "mse"}, Method("mse")),
    ],
)
def test_methods(wishes: dict[str, Any], method: Method) -> None:
    assert choose_method(Wishes(**wishes)) == method


@pytest.mark.parametrize(
    "wishes",
    [
        {"method": "entropy"},
        {"method": "mse", "percentile": 99.0},
        {"method": "minmax", "percentile": 99.0},
        {"percentile": 50.0},
        {"percentile": float("nan")},
        {"method": "mse", "calib": "net.json"},
        {"percentile": 99.0, "calib": "net.json"},
    ],
)
def test_contradictions(wishes: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        choose_method(Wishes(**wishes))


def test_mse_ranges_lie_within_min_max(tmp_path: Path) -> None:
    x = np.random.default_rng(7).laplace(0, 1, (20_000, 1, 4, 4)).astype(np.float32)
    model = zoo.small(tmp_path)
    whole = mcugen.build(model, calib=x, out=tmp_path).manifest
    narrow = mcugen.build(model, calib=x, calibration="mse", out=tmp_path).manifest
    assert narrow["inputs"][0]["scale"] < whole["inputs"][0]["scale"]
    assert whole["calibration"]["method"] == "minmax" and narrow["calibration"]["method"] == "mse"
    assert all(e["clipped"] in (0.0, None) for e in whole["calibration"]["tensors"].values())
    entry = narrow["calibration"]["tensors"]["x"]
    assert 0.0 < entry["clipped"] < 0.05 and entry["observed"] == [float(x.min()), float(x.max())]


def test_origins(tmp_path: Path, x: Array) -> None:
    model = zoo.small(tmp_path)
    built = mcugen.build(model, calib=x, out=tmp_path)
    tensors = built.manifest["calibration"]["tensors"]
    assert tensors.keys() == built.manifest["ranges"].keys()
    assert {e["origin"] for e in tensors.values()} <= {"calibrated", "fixed"}
    again = mcugen.build(model, calib=built.path / "small.json", out=tmp_path / "again").manifest
    assert {e["origin"] for e in again["calibration"]["tensors"].values()} <= {"stored", "fixed"}
    assert all(e["clipped"] is None for e in again["calibration"]["tensors"].values())
    json.dumps(built.manifest, allow_nan=False)


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda x: np.full_like(x, 3.0), "is 3 in every element"),
        (lambda x: np.repeat(x[:1], 20, axis=0), "is the same in all samples"),
        (lambda x: x[:1], "calibrated on one sample"),
        (lambda x: x[:4], "calibrated on 4 samples"),
    ],
)
def test_data_that_look_like_a_mistake(tmp_path: Path, x: Array, change: Any, note: str) -> None:
    built = mcugen.build(zoo.small(tmp_path), calib=change(x), out=tmp_path)
    assert any(note in line for line in built.manifest["notes"])


@pytest.mark.parametrize("label", [0, 4])
def test_labels_of_one_class(tmp_path: Path, x: Array, label: int) -> None:
    np.savez(tmp_path / "x.npz", x=x, y=np.full(24, label))
    built = mcugen.build(zoo.small(tmp_path), calib=tmp_path / "x.npz", out=tmp_path)
    assert any(f"label {label}" in line for line in built.manifest["notes"])
