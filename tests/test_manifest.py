"""Finding and reading manifests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mcugen.errors import UsageError
from mcugen.manifest import SCHEMA, load_manifest, manifest_path

LEAST = {"schema": SCHEMA, "mcugen": "0", "name": "net", "inputs": [], "outputs": [], "layers": []}


def write(folder: Path, name: str, content: object) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_it_is_found_among_other_json_files(tmp_path: Path) -> None:
    write(tmp_path, "a.json", "{")
    write(tmp_path, "b.json", [1, 2])
    write(tmp_path, "library.json", {"name": "library"})
    write(tmp_path, "renamed.json", LEAST)
    expected = write(tmp_path, "net.json", LEAST)
    assert manifest_path(tmp_path) == expected and load_manifest(tmp_path) == LEAST


@pytest.mark.parametrize(
    ("folder", "why", "fix"),
    [
        ("missing", "no such folder", "give the folder"),
        ("empty", "holds no library", "give the folder"),
        (".", "holds no library", "did you mean"),
        ("good/net.json", "is a file", "give its folder"),
    ],
)
def test_what_is_no_library(tmp_path: Path, folder: str, why: str, fix: str) -> None:
    (tmp_path / "empty").mkdir()
    write(tmp_path, "good/net.json", LEAST)
    write(tmp_path, "good/net.graph.npz", "")
    with pytest.raises(UsageError) as raised:
        load_manifest(tmp_path / folder)
    (fault,) = raised.value.faults
    assert why in fault.why and fix in fault.fix


@pytest.mark.parametrize("change", [{"schema": SCHEMA + 1}, {"schema": None}, {"inputs": 3}, {"layers": {}}])
def test_unusable_manifests(tmp_path: Path, change: dict[str, object]) -> None:
    write(tmp_path, "net.json", LEAST | change)
    with pytest.raises(UsageError, match="build the library again"):
        load_manifest(tmp_path)
