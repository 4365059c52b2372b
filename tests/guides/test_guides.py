"""The guides in docs/guides do what they say: their code blocks are written to files and run, in order.

A block ```python NAME is a file of that name, a block ```sh is run by a shell that stops at a fault, in a folder
where `examples` is the repository's and `mcugen` and `python` are those of this test.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

GUIDES: dict[str, tuple[str, ...]] = {
    "onnxruntime": (),
    "brevitas": ("torch", "brevitas", "onnxoptimizer"),
    "pytorch-qat": ("torch", "torchao", "onnxscript"),
    "keras": ("tensorflow", "tf_keras", "tensorflow_model_optimization"),
}
"""The packages that a guide needs beside mcugen's own."""
MINUTES = 30  # on a computer that is busy


def blocks(text: str) -> list[tuple[str, str]]:
    """(language and file name, content) of each code block."""
    return re.findall(r"^```([^\n]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def require(packages: tuple[str, ...]) -> None:
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        why = f"needs {', '.join(missing)}: `make guides` installs them"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(why)
        pytest.skip(why)


def follow(guide: str, folder: Path, repository: Path) -> str:
    """Do what a guide says in an empty folder; gives all that was printed."""
    commands = folder / "bin"
    commands.mkdir()
    for name, words in (("python", ""), ("mcugen", "-m mcugen")):
        (commands / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        (commands / name).chmod(0o755)
    (folder / "examples").symlink_to(repository / "examples")
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",  # networks this small only lose by more
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(repository), os.environ.get("PYTHONPATH")])),
    }
    printed = ""
    for header, content in blocks((repository / f"docs/guides/{guide}.md").read_text("utf-8")):
        language, _, name = header.partition(" ")
        if language == "python":
            (folder / name).write_text(content, encoding="utf-8")
        elif language == "sh":
            done = subprocess.run(
                ["bash", "-eu", "-c", content],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=60 * MINUTES,
            )
            printed += done.stdout
            print(done.stdout)
            assert done.returncode == 0, f"{content}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return printed


def no_float(folder: Path) -> bool:
    sources = [re.sub(r"/\*.*?\*/", "", p.read_text(), flags=re.DOTALL) for p in folder.glob("src/*.c")]
    return bool(sources) and not any(re.search(r"\b(float|double)\b", text) for text in sources)


def check(printed: str, folder: Path) -> None:
    """Every library of a guide is whole and without real numbers, was verified, and agrees with its framework."""
    built = sorted(folder.glob("out/*"))
    assert built and all(no_float(library) for library in built)
    assert printed.count("verdict equal, byte for byte") >= len(built)
    shares = [float(share) for share in re.findall(r"^same class +([\d.]+) %$", printed, re.MULTILINE)]
    assert shares and min(shares) >= 99.0
    for library in built:
        manifest: dict[str, Any] = json.loads((library / f"{library.name}.json").read_text("utf-8"))
        assert manifest["inputs"][0]["dtype"] == "int8"


def test_every_guide_is_tested(repository: Path) -> None:
    found = {path.stem for path in (repository / "docs/guides").glob("*.md")}
    assert set(GUIDES) <= found
    for name in GUIDES:
        headers = [header for header, _ in blocks((repository / f"docs/guides/{name}.md").read_text("utf-8"))]
        assert all(re.fullmatch(r"sh|text|python \w+\.py", header) for header in headers), headers


def test_onnxruntime(tmp_path: Path, repository: Path) -> None:
    check(follow("onnxruntime", tmp_path, repository), tmp_path)


@pytest.mark.heavy
@pytest.mark.parametrize("guide", [name for name, packages in GUIDES.items() if packages])
def test_heavy_guides(guide: str, tmp_path: Path, repository: Path) -> None:
    require(GUIDES[guide])
    check(follow(guide, tmp_path, repository), tmp_path)
