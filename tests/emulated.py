"""What tests on emulated boards need."""

from __future__ import annotations

import os

import pytest

from mcugen.boards import load_board, load_machine
from mcugen.tools import compiler, find_tool, how_to_install


def need(board: str) -> None:
    """Skip the test, with the command that helps, where the board's compiler or emulator is missing; in CI fail."""
    described = load_board(board)
    emulators = {f"qemu-system-{load_machine(name).qemu}" for name in described.machines}
    for tool in sorted({compiler(described.toolchain), *emulators}):
        if find_tool(tool) is None:
            reason = f"{tool} is missing: {how_to_install(tool)}"
            if os.environ.get("CI") == "true":
                pytest.fail(reason)
            pytest.skip(reason)
