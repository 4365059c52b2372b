"""Profiles: every instruction is counted once, in its layer, and costs what its core's table says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mcugen.bench import profile
from mcugen.bench.costs import load_costs
from mcugen.bench.emulator import run_firmware
from mcugen.bench.firmware import Vectors, build_firmware
from mcugen.bench.profile import Cell, Profile, profile_firmware
from mcugen.bench.program import OUTSIDE
from mcugen.boards import load_board
from mcugen.errors import InternalError, ToolError

Write = Callable[..., Path]
OTHERS = ("cortex-m0plus", "cortex-m3", "cortex-m7", "cortex-m33", "cortex-m55", "rv32imc")
CORES = ("cortex-m0", "cortex-m4", *(pytest.param(core, marks=pytest.mark.slow) for core in OTHERS))
FEW = (
    "cortex-m4",
    *(pytest.param(c, marks=pytest.mark.slow) for c in ("cortex-m0", "cortex-m55", "rv32imc")),
)


def profile_of(library: Path, core: str, x: bytes, y: bytes, work: Path, layers: int = 1) -> Profile:
    """The library's profile on one vector; its output is y."""
    board = load_board(core)
    rows = [np.frombuffer(data, np.int8).reshape(1, -1) for data in (x, y)]
    image = build_firmware(library, board, Vectors.from_arrays(rows[:1], rows[1:], [None] * layers), work)
    counted, found = profile_firmware(image, board, "net")
    assert counted.wrong_bytes == 0 and counted.instructions == (found.instructions,)
    return found


def total(found: Profile, core: str) -> Cell:
    cell = Cell()
    for one in found.cells(load_costs(core)).values():
        cell += one
    return cell


def asm_library(write_library: Write, folder: Path, lines: str, arena: int = 16) -> Path:
    """net_run in assembly: gets the arena in r0, gives the first four bytes back."""
    code = "".join(f'"{line.strip()}\\n"\n' for line in lines.strip().splitlines())
    source = f"""\
int8_t *net_input(net_t *net) {{ return net->arena; }}
const int8_t *net_output(const net_t *net) {{ return net->arena; }}
__asm__(".syntax unified\\n.text\\n.thumb\\n.thumb_func\\n.global net_run\\n.type net_run, %function\\n"
"net_run:\\n"
{code}".size net_run, .-net_run\\n");
"""
    return write_library(folder / "net", source, arena=arena, inputs=[4], outputs=[4], layers=[None])


@pytest.mark.parametrize("core", CORES)
def test_cycles_of_a_loop(
    core: str, busy: Path, needs_emulator: Callable[[str], None], tmp_path: Path
) -> None:
    needs_emulator(core)
    n = 12_345
    x = n.to_bytes(4, "little")
    found = total(profile_of(busy, core, x, x, tmp_path / "fw"), core)
    assert found.instructions == 2 * n + 2
    assert found.taken == n  # n - 1 times back, then home
    # ldr, n times subs and bne, bx
    per_round = {"cortex-m0plus": 3}.get(core, 4)
    expected = per_round * n + (3 if load_costs(core) else 0)
    assert found.cycles == (expected if load_costs(core) else 0)


def test_interrupts_of_the_counter_are_left_out(
    busy: Path, needs_emulator: Callable[[str], None], tmp_path: Path
) -> None:
    needs_emulator("cortex-m4")
    n = 3_000_000  # more than two periods of SysTick
    x = n.to_bytes(4, "little")
    found = total(profile_of(busy, "cortex-m4", x, x, tmp_path / "fw"), "cortex-m4")
    assert (found.instructions, found.cycles) == (2 * n + 2, 4 * n + 3)


def test_predicated_instructions_count_once(
    write_library: Write, needs_emulator: Callable[[str], None], tmp_path: Path
) -> None:
    needs_emulator("cortex-m4")
    library = asm_library(
        write_library,
        tmp_path,
        """
        movs r1, #100
        1: subs r1, #1
        ands r2, r1, #3
        itte eq
        ldreq r3, [r0]
        addeq r3, r3, #1
        movne r3, #0
        cmp r1, #50
        it eq
        bxeq lr
        b 1b
        """,
    )
    found = total(profile_of(library, "cortex-m4", bytes(4), bytes(4), tmp_path / "fw"), "cortex-m4")
    assert found.instructions == 1 + 50 * 9 + 49
    # Of 50 rounds 49 go back; a load or a branch that does not happen is counted as if it did, or as not taken.
    assert found.cycles == 1 + 50 * (1 + 1 + 1 + 2 + 1 + 1 + 1 + 1 + 1) + 49 * 3 + 2
    assert found.taken == 50


def test_instructions_at_the_end_of_a_page(
    write_library: Write, needs_emulator: Callable[[str], None], tmp_path: Path
) -> None:
    """QEMU 7.2 tells plugins a wrong size of the last but one instruction of a page, and so a wrong address."""
    needs_emulator("cortex-m4")
    library = asm_library(
        write_library,
        tmp_path,
        """
        movs r1, #100
        b 2f
        .balign 1024
        .space 1016
        2: subs r1, #1
        adds r2, r1, #0
        adds r2, r1, #0
        adds r2, r1, #0
        ldr.w r3, [r0, #1]
        cmp r1, #0
        bne 2b
        bx lr
        """,
    )
    found = total(profile_of(library, "cortex-m4", bytes(4), bytes(4), tmp_path / "fw"), "cortex-m4")
    assert found.instructions == 2 + 7 * 100 + 1
    assert found.cycles == 1 + 3 + 100 * (4 + 2 + 1 + 1) + 99 * 2 + 3
    assert found.taken == 1 + 99 + 1 and found.late == 200


def test_reads_of_flash_and_unaligned_accesses(
    write_library: Write, needs_emulator: Callable[[str], None], tmp_path: Path
) -> None:
    needs_emulator("cortex-m4")
    library = asm_library(
        write_library,
        tmp_path,
        """
        ldr r1, =0x12345678
        adr r2, net_run
        ldrb r3, [r2, #1]
        ldr r3, [r0, #4]
        ldr r3, [r0, #5]
        ldr r3, [r0, #6]
        ldrh r3, [r0, #7]
        strh r3, [r0, #10]
        str r3, [r0, #7]
        ldrb r3, [r0, #3]
        bx lr
        .ltorg
        """,
    )
    found = total(profile_of(library, "cortex-m4", bytes(4), bytes(4), tmp_path / "fw"), "cortex-m4")
    assert found.flash == 2
    assert found.late == 2 + 1 + 1 + 2


KERNEL = """\
static __attribute__((noinline)) int32_t kernel(const int8_t *x, int32_t n)
{
    int32_t sum = 0;
    while (n-- > 0) {
        sum += *x++;
    }
    return sum;
}
static void layer_0(net_t *net) { net->arena[32] = (int8_t)kernel(net->arena, 8); LAYER_DONE(net, 0); }
static __attribute__((noinline)) void layer_1(net_t *net)
{
    net->arena[33] = (int8_t)kernel(net->arena, 32);
    LAYER_DONE(net, 1);
}
static void layer_2(net_t *net)
{
    for (int i = 0; i < 4; i++) {
        net->arena[i] = net->arena[32 + (i & 1)];
    }
    LAYER_DONE(net, 2);
}
int8_t *net_input(net_t *net) { return net->arena; }
const int8_t *net_output(const net_t *net) { return net->arena; }
void net_run(net_t *net)
{
    layer_0(net);
    layer_1(net);
    layer_2(net);
}
"""


@pytest.mark.parametrize("core", FEW)
def test_layers_have_what_they_call(
    core: str, write_library: Write, needs_emulator: Callable[[str], None], tmp_path: Path
) -> None:
    needs_emulator(core)
    library = write_library(
        tmp_path / "net", KERNEL, arena=64, inputs=[32], outputs=[4], layers=[None, None, None]
    )
    x = bytes(range(32))
    y = bytes([sum(x[:8]) & 255, sum(x) & 255] * 2)
    board = load_board(core)
    rows = [np.frombuffer(data, np.int8).reshape(1, -1) for data in (x, y)]
    vectors = Vectors.from_arrays(rows[:1], rows[1:], [None] * 3)
    image = build_firmware(library, board, vectors, tmp_path / "fw")
    _, found = profile_firmware(image, board, "net")
    layers = dict.fromkeys((OUTSIDE, 0, 1, 2), 0)
    kernel = {}
    for (layer, function), cell in found.cells(load_costs(core)).items():
        layers[layer] += cell.instructions
        if function == "kernel":
            kernel[layer] = cell.instructions
    assert sum(layers.values()) == found.instructions
    # Each round of the kernel costs the same, whoever calls it.
    assert set(kernel) == {0, 1} and (kernel[1] - kernel[0]) % 24 == 0 and kernel[1] > 2 * kernel[0]
    # The hooked program, whose code differs by the calls of the hook, agrees to a few instructions.
    hooked = run_firmware(image, board, layers=True).layer_instructions
    for index in range(3):
        assert abs(hooked[index] - layers[index]) < 12, (index, hooked, layers)


def test_two_runs_are_identical(
    two_layers: Path, needs_emulator: Callable[[str], None], tmp_path: Path
) -> None:
    needs_emulator("cortex-m4")
    x = np.random.default_rng(3).integers(-128, 128, 64).astype(np.int8)
    y = x.copy()
    y[:4] += np.array([1, 2, 3, 4], np.int8)
    y = (2 * y).astype(np.int8)
    runs = [
        profile_of(two_layers, "cortex-m4", x.tobytes(), y.tobytes(), tmp_path / name, 2) for name in "ab"
    ]
    cells = [one.cells(load_costs("cortex-m4")) for one in runs]
    assert cells[0] == cells[1]


def test_a_count_that_does_not_agree_is_a_bug(
    busy: Path, needs_emulator: Callable[[str], None], tmp_path: Path
) -> None:
    needs_emulator("cortex-m4")
    x = (7).to_bytes(4, "little")
    found = profile_of(busy, "cortex-m4", x, x, tmp_path / "fw")
    edges = dict(found.edges)
    edges[next(iter(edges))] += 1
    with pytest.raises(InternalError, match="instructions in blocks, 16 counted"):
        Profile(found.program, found.blocks, edges, (), found.instructions).check()


def test_an_emulator_without_the_interface_is_named(
    busy: Path, needs_emulator: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_emulator("cortex-m4")
    monkeypatch.setattr(profile, "_VERSIONS", (98, 99))
    with pytest.raises(ToolError, match="qemu-system-arm: .*API version 99"):
        profile_of(busy, "cortex-m4", bytes(4), bytes(4), tmp_path / "fw")
