"""What analyze finds, and what the commands draw."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import onnx
import pytest
import zoo

from mcugen import build
from mcugen.errors import FitError
from mcugen.report import analysis, text
from mcugen.report.operators import operator_table


@pytest.mark.parametrize("model", ["ad", "ic", "kws", "sww", "vww"])
def test_analysis_is_close_to_the_build(models: dict[str, Path], repository: Path, model: str) -> None:
    start = time.process_time()
    found = analysis.analyze(models[model], "nucleo-f446re")
    assert time.process_time() - start < 10  # on a busy machine; about half a second on an idle one
    ranges = repository / f"benchmarks/ranges/{model}.json"
    exact = analysis.analyze(models[model], "nucleo-f446re", str(ranges))
    assert found["memory"]["arena"] == exact["memory"]["arena"]
    assert found["memory"]["weights"] == pytest.approx(exact["memory"]["weights"], rel=0.01)
    assert found["macs"] == pytest.approx(exact["macs"], rel=0.01)
    assert found["fits"] and exact["fits"] and len(found["layers"]) == len(exact["layers"])
    json.dumps(found, allow_nan=False)


def test_analysis_with_the_builds_data_is_exact(tmp_path: Path) -> None:
    model = zoo.every_kernel(tmp_path)
    manifest = build(model, calib="random", out=tmp_path).manifest
    found = analysis.analyze(model, "cortex-m4", "random")
    for key in ("inputs", "outputs", "layers", "buffers", "macs", "int8_bytes"):
        assert found[key] == manifest[key], key
    assert found["memory"] | manifest["memory"] == found["memory"]


def test_analysis_without_data_has_no_scales(tmp_path: Path) -> None:
    found = analysis.analyze(zoo.small(tmp_path), "cortex-m4")
    assert [port["scale"] for port in (*found["inputs"], *found["outputs"])] == [None, None]
    assert found["inputs"][0]["shape"] == [1, 4, 4] and found["inputs"][0]["name"] == "x"
    assert any("placeholders" in note for note in found["notes"])


def test_analysis_of_a_file_that_cannot_name_a_library(tmp_path: Path) -> None:
    zoo.small(tmp_path).rename(tmp_path / "int.onnx")
    assert analysis.analyze(tmp_path / "int.onnx", "cortex-m4")["model"]["file"] == "int.onnx"


def test_analysis_for_a_users_board(
    tmp_path: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shipped = (repository / "boards/bbc-microbit-v1.toml").read_text()
    (tmp_path / "mine.toml").write_text(
        shipped.replace('name = "bbc-microbit-v1"', 'name = "mine"').replace('"16K"', '"1K"')
    )
    found = analysis.analyze(zoo.small(tmp_path), str(tmp_path / "mine.toml"))
    assert found["needs"]["ram"] == 1024 + 24 and found["board_memory"]["ram"] == 1024
    assert found["fits"] is False
    with pytest.raises(FitError, match="24 bytes more than the board's 1,024"):
        analysis.check(found)
    text.print_analysis(found)
    assert "fit     no, mine: 1,048 of 1,024 bytes of RAM (102 %)" in capsys.readouterr().out


def test_the_sum_of_an_analysis(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = analysis.analyze(zoo.small(tmp_path), "nucleo-f446re")
    text.print_analysis(found)
    out = capsys.readouterr().out
    arena, ram = found["memory"]["arena"], found["needs"]["ram"]
    assert ram == 1024 + arena < 1200
    assert f"RAM     {arena} bytes of activations (rw; proved least" in out and f"of stack = {ram:,}" in out
    assert f"of code = {found['needs']['flash']:,}" in out
    assert "input   x: int8 [1, 4, 4], 16 bytes\n" in out
    assert f"fit     yes, nucleo-f446re: {ram:,} of 131,072 bytes of RAM (1 %)" in out


@pytest.mark.parametrize(
    ("zero_point", "shown"),
    [(0, "real = 0.5 * q"), (3, "real = 0.5 * (q - 3)"), (-3, "real = 0.5 * (q + 3)")],
)
def test_how_integers_stand_for_real_numbers(zero_point: int, shown: str) -> None:
    assert text._real({"scale": 0.5, "zero_point": zero_point}) == f", {shown}"


def test_json_knows_no_infinity() -> None:
    data: dict[str, Any] = {"a": [1.0, float("inf"), (float("nan"), "b")], "c": None}
    assert text.finite(data) == {"a": [1.0, None, [None, "b"]], "c": None}


def test_hostile_names_are_shown_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Names in brackets are no markup for the terminal."""
    model = onnx.load(zoo.small(tmp_path))
    model.graph.node[0].name = "[red]conv[/red][/]"
    onnx.save(model, tmp_path / "odd.onnx")
    text.print_analysis(analysis.analyze(tmp_path / "odd.onnx", "cortex-m4"))
    assert 'onnx:Conv "[red]conv[/red][/]"' in capsys.readouterr().out


def test_the_table_of_operators_is_complete() -> None:
    table = operator_table()
    rows = {row["operator"]: row for row in table["operators"]}
    assert rows["conv2d"]["onnx"] == ["Conv"] and "conv2d_portable" in rows["conv2d"]["kernels"]
    assert rows["reshape"]["note"] == "costs nothing"
    assert "Shape" in table["constant"] or "Gather" in table["constant"]


@pytest.mark.parametrize("width", [60, 80, 100, 130, 200])
def test_tables_of_layers_on_terminals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    model = onnx.load(zoo.every_kernel(tmp_path))
    for node in model.graph.node:
        node.name = f"a/long/way/of/scopes/and/{node.name}/" * 4
    onnx.save(model, tmp_path / "long.onnx")
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("FORCE_COLOR", "1")
    found = analysis.analyze(tmp_path / "long.onnx", "cortex-m4")
    text.print_analysis(found)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("layer  "))
    count = len(found["layers"])
    table = lines[start : start + 1 + count]
    assert [line.split()[0] for line in table[1:]] == [str(i) for i in range(count)]
    assert max(len(line.rstrip()) for line in table) <= max(width, 90)
    if width >= 80:
        assert any("depthwise_conv2d_dsp3x3" in line for line in table)
    assert (" from" in table[0]) == (width >= 100)


@pytest.mark.parametrize("most", [9, 10, 56])
def test_short_names(most: int) -> None:
    assert text._short("x" * most, most) == "x" * most
    short = text._short("begin" + "-" * 200 + "end", most)
    assert len(short) == most and short.startswith("beg") and short.endswith("end") and "..." in short
