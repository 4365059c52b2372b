"""Tools: found, run with a time limit, and named with their package when they are missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcugen import tools
from mcugen.errors import ToolError


@pytest.fixture
def no_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A PATH without any program."""
    monkeypatch.setenv("PATH", str(tmp_path))
    tools.compiler_version.cache_clear()


def fake_tool(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.usefixtures("no_programs")
@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("arm-none-eabi-gcc", "gcc-arm-none-eabi libnewlib-arm-none-eabi"),
        ("riscv64-unknown-elf-gcc", "gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf"),
        ("qemu-system-arm", "qemu-system-arm"),
        ("qemu-system-riscv32", "qemu-system-misc"),
        ("cc", "gcc"),
    ],
)
def test_a_missing_tool_names_its_package(name: str, package: str) -> None:
    assert tools.find_tool(name) is None
    with pytest.raises(ToolError) as caught:
        tools.require_tool(name)
    assert caught.value.exit_code == 7
    assert f"apt-get install {package}" in str(caught.value)
    with pytest.raises(ToolError):
        tools.run_tool([name], timeout=1)


@pytest.mark.usefixtures("no_programs")
def test_doctor_without_any_tool() -> None:
    status = tools.doctor()
    assert [tool.name for tool in tools.TOOLS] == [line.name for line in status]
    assert all(line.version is None and line.install and line.needed_for for line in status)
    with pytest.raises(ToolError):
        tools.compiler_version("arm-none-eabi-")


@pytest.mark.parametrize(
    ("line", "version"),
    [
        ("arm-none-eabi-gcc (15:12.2.rel1-1) 12.2.1 20221205", "12.2.1"),
        ("cc (Debian 12.2.0-14) 12.2.0", "12.2.0"),
        ("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)", "7.2.22"),
        ("Debian clang version 14.0.6", "14.0.6"),
        ("Cppcheck 2.10", "2.10"),
        ("gcc version unknown", "gcc version unknown"),
    ],
)
@pytest.mark.usefixtures("no_programs")
def test_versions_of_what_tools_say(tmp_path: Path, line: str, version: str) -> None:
    fake_tool(tmp_path, "cc", f"echo '{line}'")
    assert tools.tool_version("cc") == version
    assert tools.compiler_version("") == f"cc {version}"


@pytest.mark.usefixtures("no_programs")
def test_a_tool_that_hangs_is_stopped(tmp_path: Path) -> None:
    fake_tool(tmp_path, "cc", "while :; do :; done")
    with pytest.raises(ToolError, match="did not end within 0.2 s"):
        tools.run_tool(["cc"], timeout=0.2)


@pytest.mark.usefixtures("no_programs")
def test_a_tool_that_cannot_be_started(tmp_path: Path) -> None:
    (tmp_path / "cc").write_bytes(b"\x7fELF nonsense")
    (tmp_path / "cc").chmod(0o755)
    with pytest.raises(ToolError, match="cannot be started"):
        tools.run_tool(["cc"], timeout=5)
    assert tools.tool_version("cc") is None


@pytest.mark.usefixtures("no_programs")
def test_output_and_exit_code_come_back(tmp_path: Path) -> None:
    fake_tool(tmp_path, "cc", 'echo "in $PWD"; echo wrong >&2; exit 3')
    done = tools.run_tool(["cc"], timeout=5, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (3, f"in {tmp_path}\n", "wrong\n")
