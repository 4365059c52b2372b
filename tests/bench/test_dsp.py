"""mcugen_dsp.h and mcugen_output_dsp.h: each twin equals its definition, each short form the long one, on this
computer, and on emulated cores the instructions too."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from emulated import need
from native import SANITIZERS, STRICT

from mcugen import fixed
from mcugen.bench.emulator import run_firmware
from mcugen.bench.firmware import Vectors, build_firmware
from mcugen.boards import load_board
from mcugen.ir import Array

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
COUNT = 1500  # rows of arguments per function and program run

# a function of the header as an expression over one row x of five int32, and its definition over int64 columns
Definition = Callable[..., Array]


def half(x: Array, top: int) -> Array:
    return ((x >> 16 * top) & 0xFFFF ^ 0x8000) - 0x8000


def byte(x: Array, index: int) -> Array:
    return ((x >> 8 * index) & 0xFF ^ 0x80) - 0x80


def pair(bottom: Array, top: Array) -> Array:
    return (bottom & 0xFFFF) | (top & 0xFFFF) << 16


def dual(a: Array, b: Array) -> Array:
    return half(a, 0) * half(b, 0) + half(a, 1) * half(b, 1)


def halfwise(function: Definition, a: Array, b: Array) -> Array:
    return pair(*(function(half(a, top), half(b, top)) for top in (0, 1)))


def crossed(a: Array, b: Array) -> Array:
    return half(a, 0) * half(b, 1) + half(a, 1) * half(b, 0)


def bytewise(of: Definition, a: Array, b: Array) -> Array:
    parts = [(of(byte(a, i), byte(b, i)) & 0xFF) << 8 * i for i in range(4)]
    return np.asarray(parts[0] | parts[1] | parts[2] | parts[3])


def one(i: int, j: int) -> Definition:
    return lambda a, b, c, *_: c + half(a, i) * half(b, j)


WORDS = "(uint32_t)x[0], (uint32_t)x[1]"
FUNCTIONS: dict[str, tuple[str, Definition]] = {
    "smlad": (f"mcugen_smlad({WORDS}, x[2])", lambda a, b, c, *_: c + dual(a, b)),
    "smladx": (f"mcugen_smladx({WORDS}, x[2])", lambda a, b, c, *_: c + crossed(a, b)),
    "smlabb": (f"mcugen_smlabb({WORDS}, x[2])", one(0, 0)),
    "smlabt": (f"mcugen_smlabt({WORDS}, x[2])", one(0, 1)),
    "smlatb": (f"mcugen_smlatb({WORDS}, x[2])", one(1, 0)),
    "smlatt": (f"mcugen_smlatt({WORDS}, x[2])", one(1, 1)),
    "smuad": (f"mcugen_smuad({WORDS})", lambda a, b, *_: dual(a, b)),
    "smulbb": (f"mcugen_smulbb({WORDS})", lambda a, b, *_: half(a, 0) * half(b, 0)),
    "smulbt": (f"mcugen_smulbt({WORDS})", lambda a, b, *_: half(a, 0) * half(b, 1)),
    "smultb": (f"mcugen_smultb({WORDS})", lambda a, b, *_: half(a, 1) * half(b, 0)),
    "smultt": (f"mcugen_smultt({WORDS})", lambda a, b, *_: half(a, 1) * half(b, 1)),
    "smmul": ("mcugen_smmul(x[0], x[1])", lambda a, b, *_: (a * b) >> 32),
    "smmulr": ("mcugen_smmulr(x[0], x[1])", lambda a, b, *_: ((a * b >> 31) + 1) >> 1),
    "sadd16": (f"(int32_t)mcugen_sadd16({WORDS})", lambda a, b, *_: pair(a + b, (a >> 16) + (b >> 16))),
    "ssub16": (f"(int32_t)mcugen_ssub16({WORDS})", lambda a, b, *_: pair(a - b, (a >> 16) - (b >> 16))),
    "sxtb16": ("(int32_t)mcugen_sxtb16((uint32_t)x[0])", lambda a, *_: pair(byte(a, 0), byte(a, 2))),
    "sxtb16_ror8": (
        "(int32_t)mcugen_sxtb16_ror8((uint32_t)x[0])",
        lambda a, *_: pair(byte(a, 1), byte(a, 3)),
    ),
    "sxtab16": (
        f"(int32_t)mcugen_sxtab16({WORDS})",
        lambda a, b, *_: pair(a + byte(b, 0), (a >> 16) + byte(b, 2)),
    ),
    "sxtab16_ror8": (
        f"(int32_t)mcugen_sxtab16_ror8({WORDS})",
        lambda a, b, *_: pair(a + byte(b, 1), (a >> 16) + byte(b, 3)),
    ),
    "pkhbt": (f"(int32_t)mcugen_pkhbt({WORDS})", lambda a, b, *_: pair(a, b)),
    "pkhtb": (f"(int32_t)mcugen_pkhtb({WORDS})", lambda a, b, *_: pair(b >> 16, a >> 16)),
    "max8": (f"(int32_t)mcugen_max8({WORDS})", lambda a, b, *_: bytewise(np.maximum, a, b)),
    "min8": (f"(int32_t)mcugen_min8({WORDS})", lambda a, b, *_: bytewise(np.minimum, a, b)),
    "ssat8": ("mcugen_ssat8(x[0])", lambda a, *_: np.clip(a, -128, 127)),
    "ssat16": ("mcugen_ssat16(x[0])", lambda a, *_: np.clip(a, -(2**15), 2**15 - 1)),
    "smlald_low": (f"(int32_t)mcugen_smlald({WORDS}, long_sum(x))", lambda a, b, c, *_: c + dual(a, b)),
    "smlald_high": (
        f"(int32_t)(mcugen_smlald({WORDS}, long_sum(x)) >> 32)",
        lambda a, b, c, d, *_: d + (((c & 0xFFFFFFFF) + dual(a, b)) >> 32),
    ),
    "load_word": (
        "(int32_t)mcugen_load_word((const int8_t *)x + 1)",
        lambda a, b, *_: (a >> 8 & 0xFFFFFF) | b << 24,
    ),
    "load_half": (
        "(int32_t)mcugen_load_half((const int8_t *)x + 3)",
        lambda a, b, *_: (a >> 24 & 0xFF) | (b & 0xFF) << 8,
    ),
    "load_aligned_word": ("(int32_t)mcugen_load_aligned_word(x + 1)", lambda a, b, *_: b),
    "store_word": ("store(x, 0)", lambda a, b, c, *_: c << 8 & 0xFFFFFF00 | a & 0xFF),
    "store_half": ("store(x, 1)", lambda a, b, c, *_: (c & 0xFFFF) << 8 | a & 0xFF0000FF),
    "store_aligned_word": ("store(x, 2)", lambda a, b, c, *_: c),
    # of mcugen_bytes_dsp.h
    "smmlar": ("mcugen_smmlar(x[0], x[1], x[2])", lambda a, b, c, *_: c + (((a * b >> 31) + 1) >> 1)),
    "smlawb": ("mcugen_smlawb(x[0], (uint32_t)x[1], x[2])", lambda a, b, c, *_: c + (a * half(b, 0) >> 16)),
    "smlawt": ("mcugen_smlawt(x[0], (uint32_t)x[1], x[2])", lambda a, b, c, *_: c + (a * half(b, 1) >> 16)),
    "twice": ("mcugen_twice(x[0])", lambda a, *_: np.clip(2 * a, INT32_MIN, INT32_MAX)),
    "max16": (f"(int32_t)mcugen_max16({WORDS})", lambda a, b, *_: halfwise(np.maximum, a, b)),
    "min16": (f"(int32_t)mcugen_min16({WORDS})", lambda a, b, *_: halfwise(np.minimum, a, b)),
    "pack_bytes": (
        "(int32_t)mcugen_pack_bytes(x[0], x[1], x[2], x[3], mcugen_upper_bytes())",
        lambda a, b, c, d, *_: (a & 0xFF) | (b & 0xFF) << 8 | (c & 0xFF) << 16 | (d & 0xFF) << 24,
    ),
    "four_bytes": ("(int32_t)mcugen_four_bytes(x[0])", lambda a, *_: (a & 0xFF) * 0x01010101),
}
FORMS = {
    "short": "mcugen_requantize_short(x[0], x[1], x[2], x[3])",
    "clamped": "mcugen_requantize_clamped(x[0], x[1], x[2], x[3], LO, HI)",
    "shifted": "mcugen_requantize_shifted(x[0], x[1], x[2], x[3], LO, HI)",
    "wide": "mcugen_requantize_wide(x[0], x[1], x[2], x[3], LO, HI)",
}
LO, HI = -77, 101
ALL = [text for text, _ in FUNCTIONS.values()] + list(FORMS.values())

SOURCE = r"""
#include "mcugen_bytes_dsp.h"
#include "mcugen_output_dsp.h"
#define LO (-77)
#define HI 101
int64_t long_sum(const int32_t *x);
int32_t store(int32_t *x, int32_t what);
int32_t call(int32_t function, int32_t *x);
int64_t long_sum(const int32_t *x)
{
    return (int64_t)((uint64_t)(uint32_t)x[3] << 32 | (uint32_t)x[2]);
}
int32_t store(int32_t *x, int32_t what)
{
    int8_t *place = (int8_t *)x;
    const uint32_t value = (uint32_t)x[2];
    if (what == 0) {
        mcugen_store_word(place + 1, value);
    } else if (what == 1) {
        mcugen_store_half(place + 1, value);
    } else {
        mcugen_store_aligned_word(place, value);
    }
    return x[0];
}
int32_t call(int32_t function, int32_t *x)
{
    switch (function) {
    CASES
    default: return 0;
    }
}
""".replace("CASES", "\n    ".join(f"case {i}: return {text};" for i, text in enumerate(ALL)))
MAIN = r"""
#include <stdio.h>
int main(void) /* stdin: rows of a function and five arguments; stdout: one number per row */
{
    int32_t row[6];
    while (fread(row, sizeof row, 1, stdin) == 1) {
        const int32_t y = call(row[0], row + 1);
        if (fwrite(&y, sizeof y, 1, stdout) != 1) {
            return 1;
        }
    }
    return 0;
}
"""


def requantized(acc: Array, multiplier: Array, shift: Array, rounding: Array) -> Array:
    """The definition of every form, without a clamp but int8's."""
    zero_point = (rounding - 1) // 2
    return np.clip(fixed.saturating_mbqm(acc, multiplier, shift) + zero_point, -128, 127)


def random_words(rng: np.random.Generator, count: int) -> Array:
    """int64 [count, 5]: int32 of every size and all corners of halves and bytes."""
    any_size = rng.integers(INT32_MIN, 2**31, (count, 5)) >> rng.integers(0, 31, (count, 5))
    corners = rng.choice([0, 1, 127, 128, 255], (4, count, 5))
    packed = sum(corners[i].astype(np.int64) << 8 * i for i in range(4))
    return np.where(rng.random((count, 5)) < 0.3, (packed ^ 2**31) - 2**31, any_size)


def accumulators(rng: np.random.Generator, shift: Array) -> Array:
    """|acc| * 2^max(shift, 0) < 2^30: of every size, at the bounds, and on ties of the second rounding."""
    limit = (1 << 30 - np.maximum(shift, 0)) - 1
    sizes = limit >> rng.integers(0, 29, shift.shape)
    acc = rng.integers(-sizes, sizes, endpoint=True)
    acc = np.where(rng.random(shift.shape) < 0.1, rng.choice([-1, 1], shift.shape) * limit, acc)
    ties = (rng.integers(-140, 140, shift.shape) * 2 + 1) << np.clip(-shift, 0, 20)
    return np.where((rng.random(shift.shape) < 0.3) & (shift < 0), np.clip(ties, -limit, limit), acc)


def form_rows(rng: np.random.Generator, form: str, count: int) -> Array:
    """Arguments within the form's conditions, int64 [count, 5]."""
    low, high = {"short": (-22, 0), "clamped": (-22, 0), "shifted": (-22, 10), "wide": (-31, 10)}[form]
    shift = rng.integers(low, high, count)
    multiplier = rng.integers(2**30, 2**31, count)
    multiplier[rng.random(count) < 0.2] = 2**30  # products that end in many zeros: ties
    multiplier[rng.random(count) < 0.05] = 0
    acc = accumulators(rng, shift)
    if form == "wide":
        acc = np.where(rng.random(count) < 0.3, rng.integers(INT32_MIN, 2**31, count), acc)
    rounding = 2 * rng.integers(-128, 128, count) + 1
    return np.stack([acc, multiplier, shift, rounding, np.zeros(count, np.int64)], axis=1)


def make_rows(seed: int) -> tuple[Array, Array]:
    """(rows int32 [N, 6], what each must give int32 [N]) for all functions."""
    rng = np.random.default_rng(seed)
    rows, wanted = [], []
    for index, (_, define) in enumerate(FUNCTIONS.values()):
        x = random_words(rng, COUNT)
        rows.append(np.insert(x, 0, index, axis=1))
        wanted.append(define(*x.T))
    for index, form in enumerate(FORMS, len(FUNCTIONS)):
        x = form_rows(rng, form, 4 * COUNT)
        rows.append(np.insert(x, 0, index, axis=1))
        y = requantized(*x.T[:4])
        wanted.append(y if form == "short" else np.clip(y, LO, HI))
    y = np.concatenate(wanted)
    return np.concatenate(rows).astype("<i4"), (y & 0xFFFFFFFF).astype("<u4").view("<i4")


@pytest.mark.parametrize("build", ["gcc -O2", "clang -O2", "clang"])
def test_twins_equal_their_definitions(build: str, tmp_path: Path, repository: Path) -> None:
    compiler, *flags = build.split()
    source, program = tmp_path / "driver.c", tmp_path / "driver"
    source.write_text(SOURCE + MAIN)
    command = [compiler, *STRICT, *(flags or SANITIZERS), f"-I{repository / 'runtime_c'}", str(source)]
    subprocess.run([*command, "-o", str(program)], check=True)
    rows, wanted = make_rows(1)
    done = subprocess.run([program], input=rows.tobytes(), capture_output=True, check=True)
    got = np.frombuffer(done.stdout, "<i4")
    wrong = np.flatnonzero(got != wanted)
    assert not len(wrong), f"{ALL[rows[wrong[0], 0]]} of {rows[wrong[0], 1:]}: {got[wrong[0]]}"


LIBRARY = r"""
int8_t *net_input(net_t *net)
{
    return net->arena;
}
void net_run(net_t *net)
{
    int32_t *arena = (int32_t *)(void *)net->arena;
    for (int32_t i = 0; i < ROWS; ++i) {
        arena[6 * ROWS + i] = call(arena[6 * i], arena + 6 * i + 1);
    }
}
const int8_t *net_output(const net_t *net)
{
    return net->arena + 24 * ROWS;
}
"""


@pytest.mark.parametrize("board", ["cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55"])
def test_instructions_equal_their_definitions(
    board: str, write_library: Callable[..., Path], tmp_path: Path, repository: Path
) -> None:
    need(board)
    rows, wanted = (part[::5] for part in make_rows(2))
    source = f"#define ROWS {len(rows)}\n{SOURCE}{LIBRARY}"
    sizes = {"arena": 28 * len(rows), "inputs": [24 * len(rows)], "outputs": [4 * len(rows)]}
    folder = write_library(tmp_path / "net", source, layers=[], **sizes)
    for name in ("mcugen_fixed.h", "mcugen_dsp.h", "mcugen_bytes_dsp.h", "mcugen_output_dsp.h"):
        shutil.copy(repository / "runtime_c" / name, folder / "src")
    vectors = Vectors.from_arrays([rows[None]], [wanted[None]])
    result = run_firmware(
        build_firmware(folder, load_board(board), vectors, tmp_path / "fw"), load_board(board)
    )
    assert result.ok, f"{result.wrong_bytes} wrong bytes"


def test_other_arm_cores_are_refused(tmp_path: Path, repository: Path) -> None:
    need("cortex-m3")
    (tmp_path / "t.c").write_text('#include "mcugen_dsp.h"\n')
    command = [
        "arm-none-eabi-gcc",
        "-mcpu=cortex-m3",
        "-mthumb",
        f"-I{repository / 'runtime_c'}",
        "-c",
        "t.c",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "DSP extension" in done.stderr
