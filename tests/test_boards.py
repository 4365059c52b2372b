"""Boards: what is shipped is consistent, what a user writes wrong is told all at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcugen.boards import (
    Board,
    board_names,
    format_size,
    list_boards,
    load_board,
    load_machine,
    machine_names,
    parse_size,
)
from mcugen.errors import UsageError

GENERIC = {
    *("cortex-m0", "cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7"),
    *("cortex-m33", "cortex-m55", "cortex-m85", "rv32imc", "host"),
}
# Flash and RAM in KB, added up from the datasheets that the boards name.
REAL = {
    "nucleo-l4r5zi": (2048, 640),
    "nucleo-f446re": (512, 128),
    "nucleo-h743zi": (2048, 1056),
    "nucleo-u575zi": (2048, 784),
    "bbc-microbit-v1": (256, 16),
    "nrf52840-dk": (1024, 256),
    "raspberry-pi-pico": (2048, 264),
    "raspberry-pi-pico2": (4096, 520),
    "esp32-c3": (4096, 384),
}
OWN = """\
name = "mine"
description = "my board"
cpu = "cortex-m4"
toolchain = "arm-none-eabi-"
machines = ["mps2-an386"]

[[memories]]
name = "flash"
kind = "flash"
base = 0x0800_0000
size = "512K"
"""


def test_exactly_the_promised_boards_are_shipped() -> None:
    assert set(board_names()) == GENERIC | set(REAL)
    assert [board.name for board in list_boards()] == board_names()


@pytest.mark.parametrize("name", sorted(REAL))
def test_memories_of_real_boards_are_those_of_the_datasheet(name: str) -> None:
    board = load_board(name)
    assert (board.total("flash"), board.total("ram")) == tuple(1024 * size for size in REAL[name])
    assert board.datasheet and board.has_limits and board.clock_hz


@pytest.mark.parametrize("name", sorted(GENERIC))
def test_generic_cores_have_no_limits(name: str) -> None:
    board = load_board(name)
    assert not board.has_limits
    assert board.total("ram") is None and board.largest("flash") is None
    assert board.is_host == (name == "host")


@pytest.mark.parametrize("name", sorted(GENERIC | set(REAL)))
def test_flags_and_machine_agree_with_the_core(name: str) -> None:
    board = load_board(name)
    if board.is_host:
        assert not board.machines and not board.flags
        return
    assert board.machines
    generic = load_board(board.cpu)
    assert (board.flags, board.machines, board.isa) == (generic.flags, generic.machines, generic.isa)
    qemu = {load_machine(machine).qemu for machine in board.machines}
    assert qemu == {"riscv32" if board.toolchain.startswith("riscv") else "arm"}


@pytest.mark.parametrize("name", machine_names())
def test_an_instruction_takes_more_than_two_ticks(name: str) -> None:
    """Else rounding ticks to instructions could be wrong by one."""
    machine = load_machine(name)
    if machine.counter == "systick":
        assert machine.clock_hz is not None
        assert machine.clock_hz * 2**machine.icount_shift / 1e9 > 2
    else:
        assert machine.icount_shift == 0


def test_substitutes_are_said() -> None:
    assert "cortex-m55" in " ".join(load_board("cortex-m85").flags)
    assert "gcc 12 does not know" in load_board("cortex-m85").note
    assert "Cortex-M0" in load_board("raspberry-pi-pico").note


def test_adjacent_memories_hold_one_array() -> None:
    assert load_board("nucleo-l4r5zi").largest("ram") == 640 * 1024
    assert load_board("nucleo-u575zi").largest("ram") == 768 * 1024  # SRAM4 lies apart
    assert load_board("nucleo-h743zi").largest("ram") == 512 * 1024


@pytest.mark.parametrize(
    ("text", "size"),
    [("256K", 262144), ("1M", 1048576), ("2g", 2**31), ("7", 7), (640, 640), (" 16 k ", 16384)],
)
def test_sizes(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "K", "1.5M", "12 parsecs", "-1K", "0", 0, True, "1KB"])
def test_what_is_no_size(text: str | int) -> None:
    with pytest.raises(ValueError, match="size"):
        parse_size(text)


@given(st.integers(1, 2**32))
def test_formatted_sizes_read_back(size: int) -> None:
    assert parse_size(format_size(size)) == size


def test_a_users_own_board(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(OWN)
    board = load_board(str(path))
    assert (board.name, board.total("flash"), board.total("ram")) == ("mine", 512 * 1024, None)


def test_unknown_name_lists_near_ones_and_all() -> None:
    with pytest.raises(UsageError) as caught:
        load_board("nucleo-l4r5")
    assert caught.value.exit_code == 2
    assert "did you mean nucleo-l4r5zi" in str(caught.value)
    assert all(name in str(caught.value) for name in board_names())


def test_all_faults_of_a_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    text = OWN.replace('cpu = "cortex-m4"', "cpu = 4\nclok_hz = 1").replace('"512K"', '"lots"')
    path.write_text(text.replace('description = "my board"\n', "").replace('kind = "flash"', 'kind = "rom"'))
    with pytest.raises(UsageError) as caught:
        load_board(str(path))
    where = {fault.where for fault in caught.value.faults}
    fields = ("description", "cpu", "clok_hz", "memories[0].kind", "memories[0].size")
    assert where == {f"bad.toml: {field}" for field in fields}
    assert all(fault.why and fault.fix for fault in caught.value.faults)
    assert "262144, 256K or 1M" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "where", "why"),
    [
        (('machines = ["mps2-an386"]', 'machines = ["mps9"]'), "machines", "there is no mps9"),
        (('"512K"', '"4G"'), "memories", "beyond 32-bit"),
        (("base = 0x0800_0000", "base = -1"), "memories[0].base", "greater than or equal to 0"),
        (("[[memories]]", "[memories]"), "memories", "valid tuple"),
    ],
)
def test_faults_name_their_field(tmp_path: Path, change: tuple[str, str], where: str, why: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(OWN.replace(*change))
    with pytest.raises(UsageError) as caught:
        load_board(str(path))
    (fault,) = caught.value.faults
    assert fault.where == f"bad.toml: {where}"
    assert why in fault.why


@pytest.mark.parametrize(("name", "base", "why"), [("b", 0x0807_FFFF, "overlap"), ("flash", 0, "twice")])
def test_memories_must_be_distinct(tmp_path: Path, name: str, base: int, why: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(f'{OWN}\n[[memories]]\nname = "{name}"\nkind = "ram"\nbase = {base}\nsize = "1K"\n')
    with pytest.raises(UsageError, match=why):
        load_board(str(path))


@pytest.mark.parametrize(
    ("content", "why"), [(b"name = ", "invalid value"), (b"\xff\xfe", "utf-8"), (None, "no such file")]
)
def test_unreadable_files(tmp_path: Path, content: bytes | None, why: str) -> None:
    path = tmp_path / "bad.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        load_board(str(path))
    assert why in str(caught.value).lower()


def test_boards_are_frozen() -> None:
    board: Board = load_board("host")
    with pytest.raises(ValueError, match="frozen"):
        board.name = "other"  # type: ignore[misc]
