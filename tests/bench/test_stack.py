"""Worst-case stack: never less than what the emulator measures, and exact where it can be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mcugen import build
from mcugen.bench.emulator import run_counting
from mcugen.bench.firmware import FirmwareImage, Vectors, build_firmware
from mcugen.bench.program import Program
from mcugen.bench.stack import Stack, read_usage, worst_stack
from mcugen.boards import Board, load_board
from mcugen.errors import InternalError
from mcugen.manifest import load_manifest

Write = Callable[..., Path]
PORTS = """\
int8_t *net_input(net_t *net) { return net->arena; }
const int8_t *net_output(const net_t *net) { return net->arena; }
"""
CORES = ("cortex-m4", *(pytest.param(core, marks=pytest.mark.slow) for core in ("cortex-m0", "rv32imc")))
PUSH = """\
#ifdef __arm__
#define PUSH "sub sp, #400\\nstr r0, [sp]\\nadd sp, #400"
#else
#define PUSH "addi sp, sp, -400\\nsw a0, 0(sp)\\naddi sp, sp, 400"
#endif
"""
LEAF = """\
static __attribute__((noinline)) void leaf(net_t *net)
{
    volatile int8_t buffer[400];
    for (int i = 0; i < 400; i++) {
        buffer[i] = (int8_t)i;
    }
    net->arena[4] = buffer[net->arena[4] & 63];
}
"""
NESTED = """\
static __attribute__((noinline)) void outer(net_t *net)
{
    volatile int8_t buffer[600];
    for (int i = 0; i < 600; i++) {
        buffer[i] = (int8_t)i;
    }
    leaf(net);
    net->arena[5] = buffer[net->arena[5] & 63];
}
"""
RUN = "void net_run(net_t *net) { %s(net); net->arena[6] = 1; }\n"
EXCEPTION = 26 * 4 + 4  # most that a core with FPU stacks, and its alignment
LIBRARIES = {
    "leaf": LEAF + RUN % "leaf",
    # The compiler does not see what is pushed here.
    "assembly": """\
static __attribute__((noinline)) void assembly(net_t *net)
{
    __asm__ volatile(PUSH ::: "memory");
    net->arena[5] = 1;
}
"""
    + RUN % "assembly",
    "nested": LEAF + NESTED + RUN % "outer",
    # Division by a 64-bit number comes from libgcc.
    "divide": """\
static __attribute__((noinline)) void divide(net_t *net)
{
    volatile int64_t numbers[40];
    for (int i = 0; i < 40; i++) {
        numbers[i] = (net->arena[4] | 1) + ((int64_t)i << 33);
    }
    numbers[0] = numbers[39] / numbers[38];
    net->arena[5] = (int8_t)numbers[0];
}
"""
    + RUN % "divide",
}


def built(write_library: Write, core: str, source: str, work: Path) -> tuple[FirmwareImage, Board]:
    library = write_library(
        work / "net", PUSH + PORTS + source, arena=16, inputs=[4], outputs=[4], layers=[None]
    )
    zeros = np.zeros((1, 4), np.int8)
    board = load_board(core)
    image = build_firmware(library, board, Vectors.from_arrays([zeros], [zeros], [None]), work / "fw")
    return image, board


def worst_of(image: FirmwareImage) -> Stack:
    return worst_stack(Program(image.alone, "net"), read_usage(image.stack_usage), ["net_run"])


@pytest.mark.parametrize("core", CORES)
def test_it_is_what_the_emulator_measures(
    core: str, write_library: Write, needs_emulator: Callable[[str], None], tmp_path: Path
) -> None:
    needs_emulator(core)
    own = {}
    for name, source in LIBRARIES.items():
        image, board = built(write_library, core, source, tmp_path / name)
        worst = worst_of(image)
        seen = run_counting(image, board).stack_bytes
        if core == "cortex-m0" and name == "nested":  # it takes large frames by a number from memory
            with pytest.raises(InternalError, match="its frame is not known"):
                worst_stack(Program(image.alone, "net"), {}, ["net_run"])
        else:
            assert worst == worst_stack(Program(image.alone, "net"), {}, ["net_run"]), name
        assert 300 <= worst.bytes <= seen, name
        own[name] = seen - worst.bytes
    # What is left are the frames of the firmware, the same around each library. The sum over a helper's instructions
    # may be more than one path through it takes.
    assert own["leaf"] == own["nested"] == own["assembly"] and 0 <= own["leaf"] - own["divide"] <= 64, own


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "core"),
    [("ic", "cortex-m4"), ("mnist_lstm", "cortex-m0"), ("kws", "cortex-m55"), ("kws", "rv32imc")],
)
def test_generated_libraries_need_no_more(
    model: str,
    core: str,
    write_library: Write,
    needs_emulator: Callable[[str], None],
    tmp_path: Path,
    repository: Path,
) -> None:
    needs_emulator(core)
    image, board = built(write_library, core, LIBRARIES["leaf"], tmp_path / "leaf")
    own = run_counting(image, board).stack_bytes - worst_of(image).bytes
    folder = build(repository / f"examples/tflite/{model}_int8.tflite", board=board, out=tmp_path).path
    manifest = load_manifest(folder)
    rows = [[np.zeros((1, port["bytes"]), np.int8) for port in manifest[k]] for k in ("inputs", "outputs")]
    vectors = Vectors.from_arrays(*rows, [None] * len(manifest["layers"]))
    image = build_firmware(folder, board, vectors, tmp_path / "fw", layers=False)
    name = manifest["name"]
    worst = worst_stack(Program(image.alone, name), read_usage(image.stack_usage), [f"{name}_run"])
    # An interrupt of the counter may come where the stack is deepest.
    assert run_counting(image, board).stack_bytes <= worst.bytes + own + EXCEPTION


def test_the_path_names_the_functions(
    write_library: Write, needs_emulator: Callable[[str], None], tmp_path: Path
) -> None:
    needs_emulator("cortex-m4")
    worst = worst_of(built(write_library, "cortex-m4", LIBRARIES["nested"], tmp_path)[0])
    assert [name for name, _ in worst.path] == ["net_run", "outer", "leaf"]
    assert worst.bytes == sum(size for _, size in worst.path)
    assert worst.path[1][1] >= 600 and 400 <= worst.path[2][1] < 440


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (
            "static __attribute__((noinline)) int r(int n) { return n > 1 ? r(n - 1) * r(n - 2) : n; }\n"
            "void net_run(net_t *net) { volatile int x = r(net->arena[0]); (void)x; net->arena[4] = (int8_t)r(9); }",
            "recursion",
        ),
        (
            "void (*net_call)(void);\nvoid net_run(net_t *net) { net_call(); net->arena[4] = 1; }",
            "a call through a pointer",
        ),
    ],
)
@pytest.mark.parametrize("core", ["cortex-m4", "rv32imc"])
def test_what_has_no_worst_case_is_refused(
    core: str,
    source: str,
    why: str,
    write_library: Write,
    needs_emulator: Callable[[str], None],
    tmp_path: Path,
) -> None:
    needs_emulator(core)
    image, _ = built(write_library, core, source, tmp_path)
    with pytest.raises(InternalError, match=why):
        worst_of(image)


def test_frames_without_a_bound_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.su").write_text(
        "a.c:1:2:f\t16\tstatic\na.c:3:4:f\t24\tdynamic,bounded\nb.c:1:1:g\t8\tstatic\n"
    )
    assert read_usage([tmp_path / "a.su"]) == {"f": 24, "g": 8}
    (tmp_path / "b.su").write_text("a.c:1:2:f\t16\tdynamic\n")
    with pytest.raises(InternalError, match="f: its frame has no bound"):
        read_usage([tmp_path / "b.su"])
