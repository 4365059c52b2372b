"""Write a folder whole or not at all: beside its place first, then renamed; foreign folders are never touched."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mcugen.errors import Fault, UsageError
from mcugen.manifest import manifest_path


def _check_target(target: Path, name: str) -> None:
    if not target.exists() and not target.is_symlink():
        return
    try:
        ours = not target.is_symlink() and manifest_path(target).stem == name
    except UsageError:
        ours = False
    if not ours and not (target.is_dir() and not target.is_symlink() and not any(target.iterdir())):
        fault = Fault(
            str(target), "exists and was not written by mcugen", "choose another -o or -n, or remove it"
        )
        raise UsageError("nothing was written", [fault])


def _copy_foreign(target: Path, name: str, fresh: Path) -> None:
    """Copy files that are not mcugen's from the library that is replaced: a user's build folder or notes."""
    listed = {f"{name}.json"}
    for entry in json.loads((target / f"{name}.json").read_text(encoding="utf-8")).get("files", []):
        listed.add(str(entry["path"]))
    for source in sorted(target.rglob("*")):
        place = fresh / source.relative_to(target)
        if source.is_dir() and not source.is_symlink():
            continue
        if source.relative_to(target).as_posix() not in listed and not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, place, follow_symlinks=False)


def _replace(target: Path, fresh: Path, old: Path) -> None:
    """Put `fresh` in the place of `target`; whatever happens, one of the two is there afterwards."""
    try:
        if target.exists():
            target.rename(old)
        fresh.rename(target)
    finally:
        if old.exists() and not target.exists():
            old.rename(target)


def write_folder(
    out: Path,
    name: str,
    files: Mapping[str, bytes],
    finish: Callable[[Path], None],
    manifest: Mapping[str, Any],
) -> Path:
    """Write `files` to out/name, let `finish` add to the unfinished folder and fill the manifest, then rename.

    A library of that name is replaced, files in it that are not mcugen's are kept. Raises UsageError if out/name is
    something else, or cannot be written.
    """
    target = out / name
    try:
        _check_target(target, name)
        out.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=out))
    except OSError as error:
        raise UsageError(
            f"{out}: cannot be written", [Fault(str(out), error.strerror or str(error), "choose another -o")]
        ) from None
    try:
        fresh = work / "new"
        for path, data in files.items():
            place = fresh / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        finish(fresh)
        text = json.dumps(manifest, indent=1, ensure_ascii=True, allow_nan=False) + "\n"
        (fresh / f"{name}.json").write_text(text, encoding="utf-8")
        if (target / f"{name}.json").exists():
            _copy_foreign(target, name, fresh)
        _replace(target, fresh, work / "old")
    except OSError as error:
        raise UsageError(
            f"{target}: cannot be written",
            [Fault(str(target), error.strerror or str(error), "free space or rights")],
        ) from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target
