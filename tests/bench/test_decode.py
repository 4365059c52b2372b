"""Kinds of instructions, from what the assembler makes of their names."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from mcugen.bench.decode import Decoder, Instruction
from mcugen.errors import InternalError, ToolError
from mcugen.tools import run_tool

KINDS = {
    "add r0, r1, r2, lsl #3": "other",
    "smlad r0, r1, r2, r3": "other",
    "smmulr r0, r1, r2": "other",
    "ssat r0, #8, r1, asr #4": "other",
    "sxtb16 r0, r1, ror #8": "other",
    "smlabt r0, r1, r2, r3": "other",
    "muls r0, r1, r0": "multiply",
    "mla r0, r1, r2, r3": "multiply_accumulate",
    "mls r0, r1, r2, r3": "multiply_accumulate",
    "smull r0, r1, r2, r3": "multiply_long",
    "umlal r0, r1, r2, r3": "multiply_accumulate_long",
    "sdiv r0, r1, r2": "divide",
    "ldrsb r0, [r1], #1": "load",
    "ldr r0, [pc, #8]": "load",
    "ldrd r0, r1, [r2]": "load_double",
    "strh r0, [r1, r2]": "store",
    "strd r0, r1, [r2], #8": "store_double",
    "b .+8": "branch",
    "bne.w .+8": "branch",
    "cbnz r0, .+8": "branch",
    "bx lr": "branch",
    "bl .+8": "call",
    "blx r3": "call_register",
    "tbb [pc, r0]": "table_branch",
    "itte ge": "if_then",
    "mrs r0, apsr": "system",
    "nop": "other",
    "vadd.f32 s0, s1, s2": "float",
    "vfma.f32 s0, s1, s2": "float_multiply_accumulate",
    "vsqrt.f32 s0, s1": "float_divide",
    "vmov s0, r1": "float_move_core",
    "vmov r0, r1, d3": "float_move_core",
    "vmov.f32 s0, s1": "float",
    "vmrs apsr_nzcv, fpscr": "other",
    "vldr s0, [r0]": "float_load",
    "vldr d0, [r0]": "float_load_double",
    "vstr d0, [r0]": "float_store_double",
}
MOVED = {
    "push {r4-r7, lr}": ("store_multiple", 5),
    "pop {r4, pc}": ("load_multiple", 2),
    "ldmia r0!, {r1-r4}": ("load_multiple", 4),
    "ldmdb r0, {r1-r2}": ("load_multiple", 2),
    "stmia r0!, {r1, r2}": ("store_multiple", 2),
    "vpush {d8-d9}": ("float_store_multiple", 4),
    "vldmia r0!, {s0-s2}": ("float_load_multiple", 3),
    "vpop {d8}": ("float_load_multiple", 2),
}


@pytest.fixture(scope="module")
def assembled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], bytes]:
    from emulated import need

    need("cortex-m4")
    lines = [*KINDS, *MOVED, "ldr r0, [r1, r2]", "ldrb r3, [r0]"]
    folder = tmp_path_factory.mktemp("asm")
    code = {}
    # Each in a section of its own, of that name.
    source = ".syntax unified\n.thumb\n" + "".join(
        f'.section .t{i}, "ax"\n{line}\n' for i, line in enumerate(lines)
    )
    (folder / "a.s").write_text(source.replace("itte ge\n", "itte ge\nnopge\nnopge\nnoplt\n"))
    flags = ["-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard", "-mthumb"]
    done = run_tool(["arm-none-eabi-gcc", *flags, "-c", "a.s", "-o", "a.o"], timeout=60, cwd=folder)
    assert not done.returncode, done.stderr
    with (folder / "a.o").open("rb") as file:
        for i, line in enumerate(lines):
            code[line] = ELFFile(file).get_section_by_name(f".t{i}").data()
    return lambda line: code[line]


@pytest.mark.parametrize("line", KINDS)
def test_kind(line: str, assembled: Callable[[str], bytes]) -> None:
    assert Decoder().decode(assembled(line), 0x1000).kind == KINDS[line]


@pytest.mark.parametrize("line", MOVED)
def test_registers_that_are_moved(line: str, assembled: Callable[[str], bytes]) -> None:
    found = Decoder().decode(assembled(line), 0x1000)
    assert (found.kind, found.registers) == MOVED[line]


def test_a_load_knows_what_it_writes_and_where_its_address_comes_from(
    assembled: Callable[[str], bytes],
) -> None:
    decoder = Decoder()
    first = decoder.decode(assembled("ldr r0, [r1, r2]"), 0x1000)
    second = decoder.decode(assembled("ldrb r3, [r0]"), 0x1004)
    assert len(first.address) == 2 and first.writes == second.address
    assert second == Instruction("load", 0, second.writes, first.writes)


def test_no_instruction_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InternalError, match="no instruction ffffffff at 0x20"):
        Decoder().decode(b"\xff\xff\xff\xff", 0x20)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "capstone", None)
    with pytest.raises(ToolError, match=r"pip install 'mcugen\[bench\]'") as raised:
        Decoder()
    assert raised.value.exit_code == 7
