"""The command `mcugen bench`: what it prints, what it refuses."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zoo
from emulated import need

from mcugen import build, cli

Run = tuple[int, str, str]


@pytest.fixture
def mcugen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Run]:
    """Runs the command line in this process: exit code, stdout, stderr."""

    def run(*words: Any) -> Run:
        monkeypatch.setattr(sys, "argv", ["mcugen", *map(str, words)])
        with pytest.raises(SystemExit) as raised:
            cli.main()
        return (int(raised.value.code or 0), *capsys.readouterr())

    return run


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need("cortex-m4")
    folder = tmp_path_factory.mktemp("bench")
    samples = np.random.default_rng(3).standard_normal((20, 1, 4, 4)).astype(np.float32)
    return build(zoo.small(folder), calib=samples, out=folder / "out").path


def test_json_is_what_the_contract_says(mcugen: Callable[..., Run], small: Path, tmp_path: Path) -> None:
    code, out, err = mcugen("bench", small, "--json", "-b", "nucleo-f446re", "-b", "cortex-m7")
    assert code == 0 and not err
    f446, m7 = json.loads(out)
    for figures in (f446, m7):
        assert all(
            isinstance(figures[key], int)
            for key in ("instructions", "code_bytes", "const_bytes", "stack_bytes")
        )
        for index, layer in enumerate(figures["layers"]):
            assert layer["index"] == index and isinstance(layer["name"], str)
            assert isinstance(layer["macs"], int) and layer["instructions"] > 0
    assert f446["board"] == "nucleo-f446re" and f446["cycles"] > 0 and f446["layers"][0]["cycles"] > 0
    assert m7["board"] == "cortex-m7" and m7["cycles"] is None and m7["layers"][0]["cycles"] is None

    (tmp_path / "old.json").write_text(out)
    code, out, err = mcugen("bench", small, "-b", "nucleo-f446re", "--compare", tmp_path / "old.json")
    assert code == 0 and not err
    assert (
        "new/old instructions 1.000, cycles 1.000, arena 1.000, code 1.000, constants 1.000, stack 1.000"
        in out
    )
    for line in (
        "board   nucleo-f446re, emulated on mps2-an386",
        "speed   ",
        "ms at 180 MHz",
        "of stack at worst: small_run",
    ):
        assert line in out
    assert not any(line.endswith(" ") for line in out.splitlines())


def test_the_extra_is_advised_where_it_is_missing(
    mcugen: Callable[..., Run], small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "capstone", None)
    code, out, err = mcugen("bench", small)
    assert (
        code == 7 and not out and "capstone: is not installed" in err and "pip install 'mcugen[bench]'" in err
    )


def test_refusals(mcugen: Callable[..., Run], small: Path, tmp_path: Path) -> None:
    code, out, err = mcugen("bench", small, "-b", "cortex-m3")
    assert code == 2 and not out and "mcugen build small.onnx --board cortex-m3" in err
    code, out, err = mcugen("bench", small, "--compare", tmp_path / "none.json")
    assert code == 2 and not out and "no such file" in err
    code, out, err = mcugen("bench", tmp_path)
    assert code == 2 and not out and "holds no library" in err
