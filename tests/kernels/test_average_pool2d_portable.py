"""average_pool2d_portable equals the reference over shapes, windows, ways of counting, padding and clamps."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
from harness import check_kernel
from test_max_pool2d_portable import random_pool

from mcugen.resources import data_dir


def test_random_pools() -> None:
    rng = np.random.default_rng(6)
    plain = [random_pool(rng, "average_pool2d", count_include_pad=False) for _ in range(12)]
    padded = [random_pool(rng, "average_pool2d", count_include_pad=True) for _ in range(10)]
    some = [
        random_pool(
            rng, "average_pool2d", count_include_pad=True, pads=(1, 0, 2, 2), counted_pads=(1, 0, 1, 0)
        )
        for _ in range(8)
    ]
    check_kernel(plain + padded + some, kernel="average_pool2d_portable")


def test_reciprocals_replace_every_division(tmp_path: Path) -> None:
    """All numbers of cells that have one, all sums of as many bytes."""
    program = tmp_path / "means"
    source = tmp_path / "means.c"
    source.write_text(MEANS)
    include = data_dir("runtime_c")
    subprocess.run(["gcc", "-std=c99", "-O2", f"-I{include}", str(source), "-o", str(program)], check=True)
    done = subprocess.run([str(program)], capture_output=True, text=True, check=True)
    assert done.stdout == "359 counts, 0 wrong\n"


MEANS = """
#include <stdio.h>
#include "mcugen_mean.h"
int main(void)
{
    int counts = 0, wrong = 0;
    for (int32_t count = 1; count < 400; ++count) {
        const uint32_t reciprocal = mcugen_reciprocal(count);
        counts += reciprocal != 0;
        for (int32_t sum = -128 * count; sum <= 127 * count; ++sum) {
            wrong += mcugen_mean(sum, count, reciprocal) != mcugen_mean(sum, count, 0);
        }
    }
    printf("%d counts, %d wrong\\n", counts, wrong);
    return 0;
}
"""
