"""Committed figures: none may grow, and the README shows them."""

from __future__ import annotations

import copy
import json

import pytest

from benchmarks.ranges import ranges_of, ranges_path
from benchmarks.run import README, RESULTS, growth, measure_all, update_readme


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
