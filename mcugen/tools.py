"""External programs: compilers and emulators, how to find them, run them and get them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mcugen.errors import Fault, ToolError

_ASK_SECONDS = 20.0
_ARM_GCC = "gcc-arm-none-eabi libnewlib-arm-none-eabi"
_RISCV_GCC = "gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf"


@dataclass(frozen=True)
class Tool:
    """A program we may need, for what, and the Debian packages that bring it."""

    name: str
    needed_for: str
    packages: str


TOOLS: tuple[Tool, ...] = (
    Tool("cc", "the host build: verify, HostLibrary, examples", "gcc libc6-dev"),
    Tool("arm-none-eabi-gcc", "sizes and emulation on Arm Cortex-M", _ARM_GCC),
    Tool("qemu-system-arm", "emulation of Arm Cortex-M", "qemu-system-arm"),
    Tool("riscv64-unknown-elf-gcc", "sizes and emulation on RISC-V", _RISCV_GCC),
    Tool("qemu-system-riscv32", "emulation of RISC-V", "qemu-system-misc"),
    Tool("clang", "tests of the generated C with a second compiler", "clang"),
    Tool("cppcheck", "static checks of the generated C in the tests", "cppcheck"),
)
_PACKAGES: Mapping[str, str] = {tool.name: tool.packages for tool in TOOLS} | {
    "gcc": "gcc libc6-dev",
    "g++": "g++",
    "c++": "g++",
    "clang++": "clang",
    "cmake": "cmake",
    "make": "make",
}


@dataclass(frozen=True)
class ToolStatus:
    """One line of `mcugen doctor`; `version` is None if the tool is missing."""

    name: str
    needed_for: str
    version: str | None
    install: str


def find_tool(name: str) -> Path | None:
    """The program's path as found in PATH, or None."""
    found = shutil.which(name)
    return Path(found) if found else None


def require_tool(name: str) -> Path:
    """The program's path; ToolError that names the package if it is missing."""
    path = find_tool(name)
    if path is None:
        raise ToolError(
            "a tool is missing", [Fault(name, "is not installed or not in PATH", how_to_install(name))]
        )
    return path


def how_to_install(name: str) -> str:
    packages = _PACKAGES.get(name)
    return f"sudo apt-get install {packages}" if packages else f"install {name} and add its folder to PATH"


def run_tool(
    command: Sequence[str | Path], *, timeout: float, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a program without a terminal and returns its exit code, stdout and stderr.

    `command[0]` is looked up by require_tool. Raises ToolError if it is missing, cannot be started, or takes
    more than `timeout` seconds (it is killed then).
    """
    name = str(command[0])
    words = [str(require_tool(name)), *(str(word) for word in command[1:])]
    try:
        return subprocess.run(
            words,
            cwd=cwd,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"{name} was stopped: it did not end within {timeout:g} s") from error
    except OSError as error:
        raise ToolError(f"{name} cannot be started: {error.strerror}") from error


def _first_line(name: str, option: str) -> str:
    done = run_tool([name, option], timeout=_ASK_SECONDS)
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0].strip() if lines else ""


def tool_version(name: str) -> str | None:
    """The number in the first line of `name --version` (`12.2.1`); None if the tool is missing or fails."""
    if find_tool(name) is None:
        return None
    try:
        line = _first_line(name, "--version")
    except ToolError:
        return None
    # Distributors put their own package version in brackets, before or after the program's.
    numbers = re.findall(r"\d+(?:\.\d+)+", re.sub(r"\([^)]*\)", "", line)) or re.findall(
        r"\d+(?:\.\d+)+", line
    )
    return numbers[0] if numbers else line or "unknown"


def doctor() -> list[ToolStatus]:
    """Every tool that some command needs: its version or None, and how to get it."""
    return [
        ToolStatus(tool.name, tool.needed_for, tool_version(tool.name), how_to_install(tool.name))
        for tool in TOOLS
    ]


@cache
def compiler_version(prefix: str) -> str:
    """What identifies a toolchain's compiler in benchmarks: `arm-none-eabi-gcc 12.2.1`; "" is the host's cc.

    Raises ToolError if it is missing.
    """
    name = compiler(prefix)
    require_tool(name)
    return f"{name} {tool_version(name)}"


def compiler(prefix: str) -> str:
    """The C compiler's name for a toolchain's prefix; "" is the host's."""
    return f"{prefix}gcc" if prefix else "cc"
