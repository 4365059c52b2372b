"""The generated folder builds by itself, as a part of another project, and without any build system."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mcugen.manifest import load_manifest
from mcugen.simulate import HostLibrary
from mcugen.tools import find_tool, how_to_install


def run(command: Sequence[str | Path], cwd: Path) -> str:
    done = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-2000:]}{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def cmake() -> str:
    if find_tool("cmake") is None:
        pytest.skip(f"cmake is missing: {how_to_install('cmake')}")
    return "cmake"


def check_example(folder: Path, printed: str) -> None:
    """main.c feeds zeros and prints every output; `run_float` on zeros is the same."""
    library = HostLibrary(folder)
    zeros = {p["name"]: np.zeros((1, *p["shape"]), np.float32) for p in library.inputs}
    results = library.run_float(zeros)
    wanted = np.concatenate(
        [np.ravel(r) for r in (results.values() if isinstance(results, dict) else [results])]
    )
    got = np.array([float(line.rsplit(" = ", 1)[1]) for line in printed.splitlines()])
    np.testing.assert_allclose(got, wanted, rtol=1e-5)


def test_cmake_alone(cmake: str, libraries: dict[str, Path], tmp_path: Path) -> None:
    for name in ("kws", "every_kernel", "no_layers", "hostile"):
        folder, build = libraries[name], tmp_path / name
        warnings = "-DCMAKE_C_FLAGS=-Wall -Wextra -Werror"
        run([cmake, "-S", folder, "-B", build, "-Werror=dev", warnings], tmp_path)
        run([cmake, "--build", build], tmp_path)
        check_example(folder, run([build / f"{load_manifest(folder)['name']}_example"], tmp_path))


def test_cmake_as_a_part_of_another_project(cmake: str, libraries: dict[str, Path], tmp_path: Path) -> None:
    """Two libraries in one C++ project, linked by their aliases; their examples are not built."""
    shutil.copytree(libraries["every_kernel"], tmp_path / "first")
    shutil.copytree(libraries["small"], tmp_path / "second")
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.13)\nproject(firmware C CXX)\n"
        "add_subdirectory(first)\nadd_subdirectory(second)\nadd_executable(firmware main.cpp)\n"
        "target_link_libraries(firmware PRIVATE every_kernel::every_kernel small::small)\n"
    )
    (tmp_path / "main.cpp").write_text(
        '#include "every_kernel.h"\n#include "small.h"\nstatic every_kernel_t a;\nstatic small_t b;\n'
        "int main() { every_kernel_run(&a); small_run(&b); return small_output(&b) == nullptr; }\n"
    )
    run([cmake, "-S", ".", "-B", "build"], tmp_path)
    run([cmake, "--build", "build"], tmp_path)
    run([tmp_path / "build/firmware"], tmp_path)
    assert not list((tmp_path / "build").rglob("*_example"))


def test_one_compiler_call_is_enough(libraries: dict[str, Path], tmp_path: Path) -> None:
    for name, folder in libraries.items():
        sources = sorted((folder / "src").glob("*.c"))
        run(["cc", f"-I{folder / 'src'}", folder / "main.c", *sources, "-o", tmp_path / "example"], tmp_path)
        printed = run([tmp_path / "example"], tmp_path)
        bytes_out = sum(p["bytes"] for p in load_manifest(folder)["outputs"])
        assert len(printed.splitlines()) == bytes_out, name
        check_example(folder, printed)


def test_sources_need_only_the_standard_headers(libraries: dict[str, Path]) -> None:
    """And each other: a folder is complete."""
    for folder in libraries.values():
        names = {p.name for p in (folder / "src").iterdir()}
        for source in (folder / "src").iterdir():
            text = source.read_text()
            assert set(re.findall(r"#include <(.+?)>", text)) <= {
                "stdint.h",
                "limits.h",
                "stddef.h",
                "string.h",
            }
            assert set(re.findall(r'#include "(.+?)"', text)) <= names
