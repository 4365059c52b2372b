"""What tests on emulated boards need."""

from __future__ import annotations

import pytest

from mcugen.boards import load_board
from mcugen.tools import compiler, find_tool, how_to_install


def need(board: str) -> None:
    """Skip the test, with the command that helps, where the board's compiler or emulator is missing."""
    target = load_board(board)
    emulator = "qemu-system-riscv32" if target.toolchain.startswith("riscv") else "qemu-system-arm"
    for tool in (compiler(target.toolchain), emulator):
        if find_tool(tool) is None:
            pytest.skip(f"{tool} is missing: {how_to_install(tool)}")
