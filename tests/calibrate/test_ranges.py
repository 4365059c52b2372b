"""Ranges of activations: min-max, percentiles, and those stored by an earlier build."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_net import Net, normalised

from mcugen.calibrate.histogram import BINS
from mcugen.calibrate.ranges import calibrate, read_ranges
from mcugen.errors import UsageError
from mcugen.ir import Graph


@pytest.fixture
def graph() -> Graph:
    net = Net()
    return normalised(net.model(net.add("Relu", net.add("Tanh", net.input(1, 50, name="x")), name="y")))


def test_min_and_max_over_all_samples(graph: Graph) -> None:
    samples = np.random.default_rng(0).standard_normal((300, 50)).astype(np.float32)  # several chunks
    samples[7, 3], samples[299, 49] = -9.0, 11.0
    ranges = calibrate(graph, {"x": samples})
    assert set(ranges) == {n for n, t in graph.tensors.items() if t.data is None}
    assert ranges["x"] == (-9.0, 11.0)
    assert ranges["y"] == (0.0, 1.0)


@pytest.mark.parametrize("percentile", [90.0, 99.0, 99.9])
def test_percentile_leaves_half_of_the_rest_on_each_side(graph: Graph, percentile: float) -> None:
    samples = np.random.default_rng(0).standard_normal((400, 50)).astype(np.float32)
    lo, hi = calibrate(graph, {"x": samples}, percentile)["x"]
    share = (100.0 - percentile) / 200.0
    bins = 20 / BINS  # of the values, in the densest bins
    assert np.mean(samples < lo) == pytest.approx(share, abs=bins)
    assert np.mean(samples > hi) == pytest.approx(share, abs=bins)


def test_outliers_stay_outside(graph: Graph) -> None:
    samples = np.random.default_rng(0).uniform(-1, 1, (400, 50)).astype(np.float32)
    samples[0, 0] = 1000.0
    assert calibrate(graph, {"x": samples}, 99.9)["x"][1] < 2.0
    assert calibrate(graph, {"x": samples}, 100.0)["x"][1] == 1000.0


@pytest.mark.parametrize("value", [0.0, 3.0, 1e-44, 1e38])
def test_constant_data_have_a_range_of_one_number(graph: Graph, value: float) -> None:
    samples = np.full((3, 50), value, np.float32)
    for percentile in (None, 99.0):
        assert calibrate(graph, {"x": samples}, percentile)["x"] == (float(np.float32(value)),) * 2


def test_progress_sees_every_pass(graph: Graph) -> None:
    seen: list[str] = []

    def track(chunks: Any, title: str) -> Any:
        seen.append(title)
        return chunks

    calibrate(graph, {"x": np.ones((2, 50), np.float32)}, 99.0, track)
    assert len(seen) == 2


def test_stored_ranges_come_back(graph: Graph, tmp_path: Path) -> None:
    ranges = calibrate(graph, {"x": np.random.default_rng(0).standard_normal((9, 50)).astype(np.float32)})
    path = tmp_path / "ranges.json"
    path.write_text(json.dumps({"ranges": {n: list(b) for n, b in ranges.items()}}), encoding="utf-8")
    assert read_ranges(path, graph) == ranges


@pytest.mark.parametrize(
    ("bounds", "why"),
    [
        (None, "no range"), ([1.0, -1.0], "has the range"), ([0.0], "has the range"), (["0", "1"], "has the range"),
        ([0.0, float("nan")], "has the range"), ([0.0, float("inf")], "has the range"), ("ab", "has the range"),
        ({"0": 0, "1": 1}, "has the range"), (7, "has the range"),
    ],
)  # fmt: skip
def test_wrong_ranges_are_all_told(graph: Graph, tmp_path: Path, bounds: Any, why: str) -> None:
    items = {n: [0.0, 1.0] for n, t in graph.tensors.items() if t.data is None and n != "x"}
    path = tmp_path / "ranges.json"
    path.write_text(
        json.dumps({"ranges": items if bounds is None else {**items, "x": bounds}}), encoding="utf-8"
    )
    with pytest.raises(UsageError, match=f'tensor "x": .*{why}'):
        read_ranges(path, graph)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"ranges": 3}', '{"ranges": null}', "[" * 100000, "\x00"])
def test_files_that_hold_no_ranges(graph: Graph, tmp_path: Path, text: str) -> None:
    path = tmp_path / "ranges.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="holds no ranges"):
        read_ranges(path, graph)
    with pytest.raises(UsageError, match="holds no ranges"):
        read_ranges(tmp_path / "missing.json", graph)
