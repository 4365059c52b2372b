"""Folders are written whole or not at all, and nobody else's files are touched."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zoo

import mcugen
from mcugen.errors import UsageError
from mcugen.write import write_folder

FILES = {"src/kws.c": b"int x;\n", "main.c": b"int main;\n"}


def manifest(**more: Any) -> dict[str, Any]:
    return {"mcugen": "0", "name": "kws", "files": [{"path": p} for p in FILES], **more}


def write(
    out: Path, files: dict[str, bytes] = FILES, finish: Callable[[Path], None] = lambda folder: None
) -> Path:
    return write_folder(out, "kws", files, finish, manifest())


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_writes_all_and_nothing_beside(tmp_path: Path) -> None:
    def finish(folder: Path) -> None:
        (folder / "kws.graph.npz").write_bytes(b"graph")

    folder = write(tmp_path / "new/out", finish=finish)
    assert folder == tmp_path / "new/out/kws"
    assert list(tree(folder)) == ["kws.graph.npz", "kws.json", "main.c", "src/kws.c"]
    assert json.loads((folder / "kws.json").read_text()) == manifest()
    assert [p.name for p in (tmp_path / "new/out").iterdir()] == ["kws"]


def test_replaces_its_own(tmp_path: Path) -> None:
    write(tmp_path, {**FILES, "main.c": b"old", "src/kws.c": b"old"})
    folder = write(tmp_path, {"src/kws.c": b"new"})
    assert tree(folder)["src/kws.c"] == b"new"
    assert "main.c" not in tree(folder), "what an older version wrote does not stay behind"


def test_keeps_what_the_user_put_there(tmp_path: Path) -> None:
    folder = write(tmp_path)
    (folder / "build/deep").mkdir(parents=True)
    (folder / "build/deep/notes.txt").write_text("mine")
    (folder / "link").symlink_to("nowhere")
    write(tmp_path)
    assert (folder / "build/deep/notes.txt").read_text() == "mine"
    assert os.readlink(folder / "link") == "nowhere"


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "kws").mkdir()
    assert "main.c" in tree(write(tmp_path))


@pytest.mark.parametrize(
    "foreign",
    [
        {"notes.txt": "mine"},
        {"kws.json": "{}"},
        {"kws.json": "not json"},
        {"kws.json": '{"name": "kws"}'},
        {"other.json": '{"mcugen": "0", "name": "other"}'},
    ],
)
def test_foreign_folders_are_left_alone(tmp_path: Path, foreign: dict[str, str]) -> None:
    (tmp_path / "kws").mkdir()
    for name, text in foreign.items():
        (tmp_path / "kws" / name).write_text(text)
    before = tree(tmp_path)
    with pytest.raises(UsageError, match="was not written by mcugen") as caught:
        write(tmp_path)
    assert caught.value.exit_code == 2
    assert tree(tmp_path) == before


def test_files_and_links_are_left_alone(tmp_path: Path) -> None:
    real = write(tmp_path / "real")
    (tmp_path / "kws").symlink_to(real)
    before = tree(tmp_path / "real")
    with pytest.raises(UsageError, match="was not written by mcugen"):
        write(tmp_path)
    (tmp_path / "kws").unlink()
    (tmp_path / "kws").symlink_to(tmp_path / "dangling")
    with pytest.raises(UsageError):
        write(tmp_path)
    (tmp_path / "kws").unlink()
    (tmp_path / "kws").write_text("a file")
    with pytest.raises(UsageError):
        write(tmp_path)
    assert tree(tmp_path / "real") == before


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), RuntimeError("bug"), KeyboardInterrupt()]
)
def test_nothing_is_left_of_a_failure(tmp_path: Path, error: BaseException) -> None:
    write(tmp_path)
    before = tree(tmp_path)

    def fail(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise error

    with pytest.raises(UsageError if isinstance(error, OSError) else type(error)):
        write(tmp_path, {"src/kws.c": b"new"}, fail)
    assert tree(tmp_path) == before
    with pytest.raises(UsageError if isinstance(error, OSError) else type(error)):
        write(tmp_path / "elsewhere", finish=fail)
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("error", [OSError(13, "Permission denied"), KeyboardInterrupt()])
def test_the_old_library_comes_back_if_the_last_step_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    write(tmp_path)
    before = tree(tmp_path)
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise error
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises((UsageError, KeyboardInterrupt)):
        write(tmp_path, {"src/kws.c": b"new"})
    assert tree(tmp_path) == before


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written") as caught:
        write(tmp_path / "file")
    assert caught.value.exit_code == 2
    if os.getuid() != 0:  # the superuser may write anywhere
        (tmp_path / "locked").mkdir(mode=0o500)
        with pytest.raises(UsageError, match="cannot be written"):
            write(tmp_path / "locked")


def test_build_again_over_the_old(tmp_path: Path) -> None:
    model = zoo.small(tmp_path)
    first = tree(mcugen.build(model, calib="random", out=tmp_path / "out").path)
    assert tree(mcugen.build(model, calib="random", out=tmp_path / "out").path) == first
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["small"]
