"""Whether a library fits: to the byte, in the longest run of memory."""

from __future__ import annotations

from pathlib import Path

import pytest
import zoo

from mcugen.boards import Board, load_board
from mcugen.budget import STACK_BYTES
from mcugen.choice import Optimize
from mcugen.errors import FitError
from mcugen.fit import Needs, check_fit, code_bytes, needs
from mcugen.kernels.kernel import Tables
from mcugen.library import Library
from mcugen.pipeline import Settings, compile_model
from mcugen.render import render


def board(ram: list[tuple[int, int]], flash: int) -> Board:
    """A board with runs of RAM (base, size)."""
    memories = [{"name": f"ram{i}", "kind": "ram", "base": b, "size": s} for i, (b, s) in enumerate(ram)]
    memories.append({"name": "flash", "kind": "flash", "base": 0x0800_0000, "size": flash})
    return Board.model_validate(
        {"name": "mine", "description": "", "cpu": "cortex-m4", "toolchain": "", "memories": memories}
    )


def compiled(folder: Path, target: Board) -> tuple[Library, Tables]:
    least = Settings(calib="random", optimize=Optimize.SIZE)  # there is nothing smaller to fall back on
    library = compile_model(zoo.small(folder), target, least).library
    return library, render(library)[1]


def test_needs_are_the_sums(tmp_path: Path) -> None:
    library, tables = compiled(tmp_path, load_board("host"))
    assert needs(library, tables) == Needs(24 + STACK_BYTES, tables.bytes + code_bytes(library))


def test_a_board_without_memories_takes_everything(tmp_path: Path) -> None:
    library, tables = compiled(tmp_path, load_board("cortex-m0"))
    check_fit(library, tables)
    assert Needs(10**12, 10**12).met_by(load_board("cortex-m0"))


@pytest.mark.parametrize("short", ["", "RAM", "flash"])
def test_one_byte_decides(tmp_path: Path, short: str) -> None:
    wanted = needs(*compiled(tmp_path, board([(0x2000_0000, 1 << 20)], 1 << 20)))
    # where the RAM is short, kernels of more bytes are tried
    room = {"RAM": 4096, "flash": -1, "": 0}[short]
    ram, flash = wanted.ram - (short == "RAM"), wanted.flash + room
    library, tables = compiled(tmp_path, board([(0x2000_0000, ram)], flash))
    if not short:
        check_fit(library, tables)
        return
    with pytest.raises(FitError, match="small does not fit mine") as raised:
        check_fit(library, tables)
    (fault,) = raised.value.faults
    assert fault.where == short and "are 1 bytes more than the board's" in fault.why
    assert "a larger board, such as bbc-microbit-v1" in fault.fix


def test_both_are_told_at_once(tmp_path: Path) -> None:
    library, tables = compiled(tmp_path, board([(0x2000_0000, 64)], 64))
    with pytest.raises(FitError) as raised:
        check_fit(library, tables)
    assert [fault.where for fault in raised.value.faults] == ["RAM", "flash"]


def test_memory_in_pieces_does_not_add_up() -> None:
    wanted = Needs(1000, 0)
    assert wanted.met_by(board([(0x2000_0000, 600), (0x2000_0000 + 600, 600)], 100))
    assert not wanted.met_by(board([(0x2000_0000, 600), (0x3000_0000, 600)], 100))
