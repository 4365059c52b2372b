"""<name>.json and `--json`: what tools read, and that it is true."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mcugen import __version__
from mcugen.graph_file import load_graph
from mcugen.manifest import SCHEMA, load_manifest

PORT = {"name": str, "shape": list, "dtype": str, "scale": float, "zero_point": int, "bytes": int}
FIELDS: dict[str, Any] = {
    "schema": int,
    "mcugen": str,
    "name": str,
    "model": {"file": str, "sha256": str, "format": str},
    "target": {"board": str, "cpu": str, "flags": list},
    "inputs": [PORT],
    "outputs": [PORT],
    "memory": {"arena": int, "arena_lower_bound": int, "weights": int, "state": int},
    "float_bytes": int,
    "int8_bytes": int,
    "layers": [
        {
            "index": int,
            "name": str,
            "op": str,
            "kernel": str,
            "origin": str,
            "source": dict,
            "macs": int,
            "weight_bytes": int,
            "output": dict,
        }
    ],
    "buffers": [{"name": str, "size": int, "offset": int, "first": int, "last": int}],
    "files": [{"path": str, "sha256": str}],
}


def check_fields(fields: Any, value: Any, where: str) -> None:
    """At least these fields, of these types."""
    if isinstance(fields, dict):
        assert isinstance(value, dict), where
        for name, inner in fields.items():
            assert name in value, f"{where}.{name} is missing"
            check_fields(inner, value[name], f"{where}.{name}")
    elif isinstance(fields, list):
        assert isinstance(value, list), where
        for i, item in enumerate(value):
            check_fields(fields[0], item, f"{where}[{i}]")
    else:
        assert type(value) is fields, f"{where} is {value!r}"


def test_fields(libraries: dict[str, Path]) -> None:
    for name, folder in libraries.items():
        check_fields(FIELDS, load_manifest(folder), name)


def test_the_manifest_is_true(libraries: dict[str, Path], models: dict[str, Path]) -> None:
    for name, folder in libraries.items():
        manifest = load_manifest(folder)
        graph = load_graph(folder / f"{manifest['name']}.graph.npz")
        assert (manifest["schema"], manifest["mcugen"]) == (SCHEMA, __version__)
        if name in models:
            assert manifest["model"]["sha256"] == hashlib.sha256(models[name].read_bytes()).hexdigest()
        listed = {e["path"]: e["sha256"] for e in manifest["files"]}
        there = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
        del there[f"{manifest['name']}.json"]
        assert listed == {p: hashlib.sha256(f.read_bytes()).hexdigest() for p, f in there.items()}
        memory = manifest["memory"]
        assert memory["arena_lower_bound"] <= memory["arena"]
        assert memory["arena"] == max([1, *(b["offset"] + b["size"] for b in manifest["buffers"])])
        for layer in manifest["layers"]:
            assert layer["output"]["offset"] + layer["output"]["bytes"] <= memory["arena"]
            assert layer["output"]["bytes"] == graph.type(layer["output"]["tensor"]).bytes
        assert [e["index"] for e in manifest["layers"]] == list(range(len(manifest["layers"])))
        assert [p["shape"] for p in manifest["inputs"]] == [
            list(graph.type(n).shape[1:]) for n in graph.inputs
        ]


def test_arenas_are_as_small_as_promised(example_libraries: dict[str, Path]) -> None:
    limits = {"kws": 9_000, "ic": 34_000, "vww": 37_500, "ad": 768, "sww": 3_900}
    arenas = {name: load_manifest(folder)["memory"]["arena"] for name, folder in example_libraries.items()}
    assert all(arenas[name] <= limit for name, limit in limits.items()), arenas


def mcugen(*arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(p for p in sys.path if p)
    command = [sys.executable, "-m", "mcugen", *(str(a) for a in arguments)]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr[-3000:]
    return done


def test_json_is_all_that_is_printed(models: dict[str, Path], every_kernel: Path, tmp_path: Path) -> None:
    """Pure JSON on stdout (no NaN, no Infinity), whatever notes there are on stderr."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    def parse(*arguments: str | Path) -> Any:
        return json.loads(mcugen(*arguments, "--json").stdout, parse_constant=refuse)

    built = parse("build", models["kws"], "--calib", "random", "-o", tmp_path)
    assert built == load_manifest(tmp_path / "kws_float")
    verified = parse("verify", tmp_path / "kws_float", "--model", models["kws"])
    assert verified["ok"] is True
    assert {"agreement", "sqnr"} <= set(verified["float_report"])
    assert parse("verify", every_kernel)["ok"] is True
    assert parse("analyze", models["kws"])
    for command in ("boards", "ops", "doctor"):
        assert parse(command)


def test_json_and_a_user_error(tmp_path: Path) -> None:
    done = mcugen("verify", tmp_path, "--json", code=2)
    assert "Traceback" not in done.stderr and done.stderr.strip()
    assert not done.stdout or json.loads(done.stdout)


@pytest.mark.parametrize("name", ["stdio", "while"])
def test_a_name_that_clashes_is_a_usage_error(models: dict[str, Path], tmp_path: Path, name: str) -> None:
    done = mcugen("build", models["kws"], "--calib", "random", "-o", tmp_path, "-n", name, code=2)
    assert "-n NAME" in done.stderr and not done.stdout.strip()
    assert list(tmp_path.iterdir()) == []
