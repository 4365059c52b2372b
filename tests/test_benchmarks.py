"""Committed figures: none may grow, and the README shows them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from unittest.mock import patch

import numpy as np
import onnx
import pytest
from onnx_net import Net

import mcugen
from benchmarks.ranges import ranges_of, ranges_path
from benchmarks.recipes import _one_scale as one_scale
from benchmarks.run import README, RESULTS, growth, measure_all, update_readme
from mcugen.graph_file import load_graph


@pytest.mark.slow
def test_no_figure_grew() -> None:
    old = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert growth(old, measure_all()) == []


def test_stored_ranges_are_those_of_the_command() -> None:
    stored = json.loads(ranges_path("sww").read_text(encoding="utf-8"))["ranges"]
    ranges = ranges_of("sww")
    assert list(stored) == sorted(ranges)
    for name, pair in stored.items():  # float sums differ between CPUs
        assert ranges[name] == pytest.approx(pair, rel=1e-4, abs=1e-5), name


def test_one_scale_for_all_channels(tmp_path: Path) -> None:
    """What `make recipes` puts in place of `quantize_weights`, by the same call."""
    rng = np.random.default_rng(3)
    weights, bias = rng.normal(size=(5, 3, 2, 4)) * rng.uniform(0.1, 3.0, (5, 1, 1, 1)), rng.normal(size=5)
    data, _, scales = one_scale(weights, bias, 0.05, 0, None)
    assert len(scales) == 5 and len(set(scales)) == 1
    np.testing.assert_array_equal(data, np.round(weights / scales[0]))
    net = Net()
    onnx.save(net.model(net.conv(net.input(1, 3, 5, 5), 3, 4, 3, 3)), tmp_path / "net.onnx")
    with patch("mcugen.ops.conv2d.quantize_weights", one_scale):
        built = mcugen.build(tmp_path / "net.onnx", calib="random", out=tmp_path, refine=False)
    graph = load_graph(built.path / "net.graph.npz")
    (quant,) = [t.type.quant for t in graph.tensors.values() if t.data is not None and t.data.ndim == 4]
    assert quant is not None and len(set(quant.scale)) == 1


def test_growth_of_the_same_compiler_is_found() -> None:
    old = {"cc 1": {"cortex-m4": {"kws": {"instructions": 1000}}}}
    new = copy.deepcopy(old)
    new["cc 1"]["cortex-m4"]["kws"]["instructions"] = 1010
    assert growth(old, new) == []
    new["cc 1"]["cortex-m4"]["kws"]["instructions"] = 1011
    assert growth(old, new) == ["cc 1, cortex-m4, kws: instructions 1,000 -> 1,011"]
    assert growth({"cc 2": old["cc 1"]}, new) == []


def test_readme_shows_the_committed_figures() -> None:
    text = README.read_text(encoding="utf-8")
    assert update_readme(text, json.loads(RESULTS.read_text(encoding="utf-8"))) == text
