"""The portable kernels' inner loops become vector instructions on computers, where datasets are evaluated."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import mcugen

X86 = platform.machine() in ("x86_64", "AMD64")


@pytest.fixture(scope="module")
def source(models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library's C with convolutions and depthwise ones, made for this computer."""
    out = tmp_path_factory.mktemp("vectors")
    folder = mcugen.build(models["kws"], calib="random", board="host", out=out).path
    return folder / "src" / f"{folder.name}.c"


def vectorised(source: Path, *command: str) -> set[str]:
    """Which functions a compiler says to have vectorised a loop of, as `file:line` on its output tells."""
    run = subprocess.run(
        [*command, "-O3", "-c", source.name, "-o", "/dev/null"],
        cwd=source.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[:2000]
    found = set()
    for place in re.findall(r"^(\S+?):(\d+):\d+: (?:optimized|remark): .*(?:vectorized)", run.stderr, re.M):
        lines = (source.parent / place[0]).read_text(encoding="utf-8").split("\n")[: int(place[1])]
        heads = [n for line in lines if line[:1].isalpha() for n in re.findall(r"(\w+)\(const", line)]
        found.add(heads[-1] if heads else "")
    return found


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(("gcc", "-fopt-info-vec-optimized"), id="gcc"),
        pytest.param(
            ("clang", "--target=aarch64-linux-gnu", "-ffreestanding", "-Rpass=vectorize"), id="aarch64"
        ),
    ],
)
def test_sums_of_products(source: Path, command: tuple[str, ...]) -> None:
    if shutil.which(command[0]) is None or (command[0] == "gcc" and not X86):
        pytest.skip(f"{command[0]} is missing, or not for x86-64")
    functions = vectorised(source, *command)
    assert "mcugen_dot4" in functions, functions
    assert any("depthwise" in name for name in functions), functions
