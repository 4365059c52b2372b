"""What `verify` is for: one wrong number anywhere in a generated folder is found."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from mcugen.manifest import load_manifest
from mcugen.verify import verify

FIXED = "src/mcugen_fixed.h"
CODE = "src/every_kernel.c"
WEIGHTS = "src/every_kernel_weights.c"


def first_number(pattern: str, change: int) -> tuple[str, str]:
    """The first number after `pattern` in the weights, changed."""
    return rf"({pattern}[^{{]*{{\s*)(-?\d+)", rf"CHANGE{change}"


# name: file, regular expression, its replacement (CHANGEn adds n to the second group); of the portable kernels
MUTATIONS = {
    "rounding half towards zero": (FIXED, r"\(mask >> 1\) \+ \(x < 0\)", "(mask >> 1) + 1"),
    "no rounding in the high multiplication": (FIXED, r"\+ \(\(int64_t\)1 << 30\)", "+ 0"),
    "no upper clamp": (FIXED, r"x < lo \? lo : x > hi \? hi : x", "x < lo ? lo : x"),
    "no lower clamp": (FIXED, r"x < lo \? lo : x > hi \? hi : x", "x > hi ? hi : x"),
    "an input offset": (CODE, r"(\.x_offset = )(-?\d+)", "CHANGE1"),
    "an addend's offset": (CODE, r"(\.a_offset = )(-?\d+)", "CHANGE1"),
    "a padding": (CODE, r"(\.pad_left = )(\d+)", "CHANGE1"),
    "a stride": (CODE, r"(\.stride_h = )(2)", "CHANGE-1"),
    "a dilation": (CODE, r"(\.dilation_w = )(2)", "CHANGE-1"),
    "a copy's begin": (CODE, r"(\.y_begin = )([1-9]\d*)", "CHANGE-1"),
    "a multiplier of softmax": (
        CODE,
        r"(softmax_portable_t layer_\d+_d = \{[^}]*\.multiplier = )(\d+)",
        "CHANGE9000000",
    ),
    "the order of rows": (
        CODE,
        r"for \(int32_t row = (\d+); row >= 0; row -= 1\)",
        r"for (int32_t row = 0; row <= \1; ++row)",
    ),
    "a layer left out": (CODE, r"\n    layer_3\(net\);", ""),
    "a weight": (WEIGHTS, *first_number("l0_weights", 1)),
    "a bias": (WEIGHTS, *first_number("l0_bias", 64)),
    "a multiplier": (WEIGHTS, *first_number("l0_multiplier", 1 << 22)),
    "a shift": (WEIGHTS, *first_number("l0_shift", 1)),
    "a table's byte": (WEIGHTS, r"(_table\[256\] = \{(?:[^,]*,){128}\s*)(-?\d+)", "CHANGE1"),
}


# Of the kernels for the DSP extension.
DSP_MUTATIONS = {
    "a packed weight": (WEIGHTS, *first_number(r"l\d+_weights", 1)),
    "a channel's bias": (WEIGHTS, *first_number(r"l\d+_channels", 1 << 14)),
    "a padding": (CODE, r"(\.pad_left = )(\d+)", "CHANGE1"),
    "columns of a pixel": (CODE, r"(_dsp\w*_t layer_\d+_d = \{[^}]*\.pairs = )(\d+)", "CHANGE-1"),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_mutation_is_found(mutation: str, portable_libraries: dict[str, Path], tmp_path: Path) -> None:
    _check_found(portable_libraries["every_kernel"], tmp_path, *MUTATIONS[mutation])


@pytest.mark.parametrize("mutation", DSP_MUTATIONS)
def test_a_mutation_of_dsp_kernels_is_found(mutation: str, every_kernel: Path, tmp_path: Path) -> None:
    _check_found(every_kernel, tmp_path, *DSP_MUTATIONS[mutation])


def _check_found(library: Path, work: Path, file: str, pattern: str, replacement: str) -> None:
    folder = work / library.name
    shutil.copytree(library, folder)
    text = (folder / file).read_text()
    if replacement.startswith("CHANGE"):
        step = int(replacement.removeprefix("CHANGE"))
        changed, count = re.subn(pattern, lambda m: f"{m[1]}{int(m[2]) + step}", text, count=1)
    else:
        changed, count = re.subn(pattern, replacement, text, count=1)
    assert count == 1, f"{pattern} is not in {file}"
    (folder / file).write_text(changed)
    report = verify(folder)
    assert not report.ok
    assert any(file in note for note in report.notes), "the edited file is named"


def test_without_a_mutation_nothing_is_found(every_kernel: Path) -> None:
    report = verify(every_kernel)
    assert report.ok and not report.notes
    assert len(report.layers) == len(load_manifest(every_kernel)["layers"])
