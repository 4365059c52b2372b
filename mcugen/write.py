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
        why = "exists and was not written by mcugen: it is left as it is"
        raise UsageError(
            f"{target}: {why}", [Fault(str(target), why, "choose another -o or -n, or remove it")]
        )


def write_folder(
    out: Path,
    name: str,
    files: Mapping[str, bytes],
    finish: Callable[[Path], None],
    manifest: Mapping[str, Any],
) -> Path:
    """Write `files` to out/name, let `finish` add to the unfinished folder and fill the manifest, then rename.

    Raises UsageError if out/name is something else than a library of that name, or cannot be written.
    """
    target = out / name
    _check_target(target, name)
    try:
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
        if target.exists():
            target.rename(work / "old")
        fresh.rename(target)
    except OSError as error:
        if (work / "old").exists() and not target.exists():
            (work / "old").rename(target)
        raise UsageError(
            f"{target}: cannot be written",
            [Fault(str(target), error.strerror or str(error), "free space or rights")],
        ) from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target
