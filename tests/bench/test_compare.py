"""Old figures beside new ones."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from mcugen.bench.compare import ratios, read_old
from mcugen.bench.measure import LayerCost, Measurement
from mcugen.errors import UsageError
from mcugen.report.bench import as_plain


def measurement(board: str = "cortex-m4", cycles: int | None = 3000) -> Measurement:
    layers = (
        LayerCost(0, "a", "conv2d", "k", "Conv", 10, 900, cycles),
        LayerCost(1, "b", "add", "k", "Add", 0, 90, 100),
    )
    return Measurement(
        "net", board, "cortex-m4", "m", "gcc", "-O2", 10, 1000, cycles, None, None, None, 0, 0, "", 64, 200, 50, 40,
        (("net_run", 40),), layers, (), (), (),
    )  # fmt: skip


def stored(tmp_path: Path, *found: Measurement) -> Path:
    path = tmp_path / "old.json"
    path.write_text(json.dumps(as_plain(found, None)))
    return path


def test_one_board_is_an_object_and_several_are_a_list(tmp_path: Path) -> None:
    assert as_plain([measurement()], None)["board"] == "cortex-m4"
    assert [one["board"] for one in as_plain([measurement(), measurement("x")], None)] == ["cortex-m4", "x"]
    assert list(read_old(stored(tmp_path, measurement(), measurement("x")))) == ["cortex-m4", "x"]


def test_ratios_are_new_over_old(tmp_path: Path) -> None:
    old = read_old(stored(tmp_path, measurement()))
    new = dataclasses.replace(measurement(cycles=1500), instructions=500, code_bytes=300)
    (found,) = ratios(old, [new])
    assert found.total["instructions"] == 0.5 and found.total["cycles"] == 0.5
    assert found.total["code_bytes"] == 1.5 and found.total["stack_bytes"] == 1
    assert found.layers[0] == {"instructions": 1, "cycles": 0.5}
    plain = as_plain([new], [found])
    assert plain["compared"]["total"]["cycles"] == 0.5 and plain["compared"]["layers"][1]["cycles"] == 1


def test_what_is_unknown_has_no_ratio(tmp_path: Path) -> None:
    old = read_old(stored(tmp_path, measurement(cycles=None)))
    changed = dataclasses.replace(measurement().layers[0], name="another")
    (found,) = ratios(old, [dataclasses.replace(measurement(), layers=(changed, *measurement().layers[1:]))])
    assert found.total["cycles"] is None and found.total["instructions"] == 1
    assert found.layers[0] == {
        "instructions": None,
        "cycles": None,
    }  # the layer of that index was another one
    assert found.layers[1]["instructions"] == 1


def test_faults_of_the_old_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_old(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(UsageError, match="is no json"):
        read_old(tmp_path / "bad.json")
    (tmp_path / "other.json").write_text('{"a": 1}')
    with pytest.raises(UsageError, match="holds no figures"):
        read_old(tmp_path / "other.json")
    with pytest.raises(UsageError, match="cortex-m0: there is only cortex-m4"):
        ratios(read_old(stored(tmp_path, measurement())), [measurement("cortex-m0")])
