"""Same input, same bytes: whatever the folder, the hash seed, the working directory and the number of threads."""

from __future__ import annotations

import getpass
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import zoo

BUILD = """
import sys
import mcugen
mcugen.build(sys.argv[1], calib=sys.argv[2], out=sys.argv[3], command="mcugen build")
"""


def build(model: Path, calib: str, cwd: Path, out: str, **environment: str) -> Path:
    """Build in a process of its own; the library's folder."""
    cwd.mkdir(parents=True, exist_ok=True)
    paths = os.pathsep.join(p for p in sys.path if p)
    command = [sys.executable, "-c", BUILD, os.path.relpath(model, cwd), calib, out]
    variables = {**os.environ, "PYTHONPATH": paths, **environment}
    done = subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return cwd / out / model.stem


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def twice(
    tmp_path_factory: pytest.TempPathFactory, models: dict[str, Path], kws_calib: Path
) -> list[tuple[Path, Path]]:
    """Each library built in two different surroundings."""
    work = tmp_path_factory.mktemp("determinism")
    one = {"PYTHONHASHSEED": "1", "TZ": "UTC", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    other = {"PYTHONHASHSEED": "77", "TZ": "Asia/Tokyo", "LC_ALL": "C", "COLUMNS": "40"}
    pairs = []
    for model, calib in (
        (models["kws"], str(kws_calib)),
        (models["vww"], "random"),
        (zoo.every_kernel(work), "random"),
    ):
        first = build(model, calib, work / "a", "out", **one)
        second = build(model, calib, work / "somewhere else/b", "../deeper/out", **other)
        pairs.append((first, second))
    return pairs


def test_every_file_is_the_same(twice: list[tuple[Path, Path]]) -> None:
    for first, second in twice:
        one, other = tree(first), tree(second)
        assert list(one) == list(other)
        assert [name for name in one if one[name] != other[name]] == []


def test_nothing_tells_of_this_machine(twice: list[tuple[Path, Path]]) -> None:
    """No path, host, user or date in any file, the graph's archive included."""
    secrets = [str(Path.home()), str(Path(__file__).parents[2]), socket.gethostname()]
    if len(getpass.getuser()) > 4:
        secrets.append(getpass.getuser())
    for _, folder in twice:
        secrets += [str(folder.parent), str(folder.parent.resolve())]
        for name, data in tree(folder).items():
            found = [s for s in secrets if len(s) > 4 and s.encode() in data]
            assert not found, f"{name}: {found}"
            if not name.endswith(".npz"):
                text = data.decode()
                assert not re.search(
                    r"20[2-9]\d-[01]\d-[0-3]\d|\b[0-2]\d:[0-5]\d:[0-5]\d\b|/tmp/|/home/", text
                ), name


def test_another_calibration_is_another_library(
    twice: list[tuple[Path, Path]], models: dict[str, Path], tmp_path: Path
) -> None:
    """The comparison above can fail."""
    other = build(models["kws"], "random", tmp_path, "out")
    one, another = tree(twice[0][0]), tree(other)
    differing = {name for name in one if one[name] != another[name]}
    assert {"kws_float.json", "kws_float.graph.npz", "src/kws_float_weights.c"} <= differing
