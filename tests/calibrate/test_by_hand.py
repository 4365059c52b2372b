"""Ranges by hand: words, names, and what they do in a build."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx_net import Net, smooth_samples

import mcugen
from mcugen.calibrate.by_hand import match_ranges, parse_ranges
from mcugen.errors import UsageError
from mcugen.pipeline import read


def _model(folder: Path) -> Path:
    net = Net()
    x = net.add("Relu", net.conv(net.input(1, 2, 6, 6, name="image"), 2, 4, 3, 3), name="hidden")
    x = net.reshape(net.add("MaxPool", x, kernel_shape=[2, 2], name="pooled"), 1, -1)
    path = folder / "net.onnx"
    onnx.save(net.model(net.add("Softmax", net.dense(x, 36, 3), name="scores")), path)
    return path


SAMPLES = smooth_samples(np.random.default_rng(0), 20, (2, 6, 6))


def test_words() -> None:
    assert parse_ranges(["x=-1:1", "a=b:0=1e-3:2.5", "x=-1:1"]) == {"x": (-1.0, 1.0), "a=b:0": (0.001, 2.5)}
    with pytest.raises(UsageError) as raised:
        parse_ranges(["x", "x=1", "x=a:b", "=0:1", "y=0:1", "y=0:2"])
    assert len(raised.value.faults) == 5


@pytest.mark.parametrize(
    ("given", "why", "fix"),
    [
        ({"hiden": (0, 1)}, "no such activation", "hidden"),
        ({"hidden": (1, 1)}, "not below", "lo < hi"),
        ({"hidden": (0, float("nan"))}, "float32", "lo < hi"),
        ({"hidden": (0, 1e39)}, "float32", "lo < hi"),
        ({"hidden": 3}, "no pair", "lo < hi"),
        ({"hidden": (0, 1, 2)}, "no pair", "lo < hi"),
        ({"scores": (0, 1)}, "fixed", "leave"),
    ],
)
def test_mistakes(tmp_path: Path, given: dict[str, Any], why: str, fix: str) -> None:
    with pytest.raises(UsageError) as raised:
        match_ranges({**given, "nothing": (0, 1)}, read(_model(tmp_path)).graph)
    first, second = raised.value.faults
    assert why in first.why and fix in first.fix and "nothing" in second.where


def test_they_override_calibration(tmp_path: Path) -> None:
    model = _model(tmp_path)
    built = mcugen.build(model, calib=SAMPLES, ranges={"image": (-2, 2)}, out=tmp_path)
    assert built.manifest["inputs"][0]["scale"] == pytest.approx(4 / 255)
    entry = built.manifest["calibration"]["tensors"]["image"]
    assert entry["origin"] == "by hand" and entry["used"] == pytest.approx([-2, 2], abs=0.02)
    assert entry["clipped"] == pytest.approx(float(np.mean(np.abs(SAMPLES) > 2.01)), abs=0.003)
    assert any("clip up to" in note for note in built.manifest["notes"])
    again = mcugen.build(model, calib=built.path / "net.json", out=tmp_path / "again")
    assert again.manifest["inputs"] == built.manifest["inputs"]
    stored = mcugen.build(
        model, calib=built.path / "net.json", ranges={"image": (-1, 1)}, out=tmp_path / "third"
    )
    assert stored.manifest["inputs"][0]["scale"] == pytest.approx(2 / 255)


def test_who_shares_a_scale_shares_the_range(tmp_path: Path) -> None:
    hands: dict[str, tuple[float, float]] = {"pooled": (0, 0.5), "hidden": (0, 0.75)}
    built = mcugen.build(_model(tmp_path), calib=SAMPLES, ranges=hands, out=tmp_path)
    tensors = built.manifest["calibration"]["tensors"]
    shared = [e for e in tensors.values() if e["origin"] == "by hand"]
    assert len(shared) > 2 and all(e["used"] == pytest.approx([0, 0.75], abs=1e-6) for e in shared)


def test_a_range_that_is_hardly_reached_is_told(tmp_path: Path) -> None:
    built = mcugen.build(_model(tmp_path), calib=SAMPLES, ranges={"image": (0, 255)}, out=tmp_path)
    assert any("scaled as in training" in note for note in built.manifest["notes"])
