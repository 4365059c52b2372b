"""The C header equals its numpy twin, and the twin equals the definitions in unbounded integers."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcugen import fixed

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
POWERS = [2**k for k in range(31)]
EDGES = np.unique(
    [0, INT32_MIN, INT32_MAX, *(s * p + d for p in POWERS for s in (-1, 1) for d in (-1, 0, 1))]
)
RANDOM = 300_000

WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wcast-qual", "-Wundef", "-Wpedantic"]
WARNINGS += ["-Wsign-conversion", "-Werror"]
SANITIZERS = ["-O1", "-g", "-fsanitize=undefined,address", "-fno-sanitize-recover=all"]

# What the driver can be asked for, as an expression over one row x of arguments.
CALLS = {
    "clamp": "mcugen_clamp(x[0], x[1], x[2])",
    "srdhm": "mcugen_srdhm(x[0], x[1])",
    "rdhm": "mcugen_rdhm(x[0], x[1])",
    "rdbpot": "mcugen_rdbpot(x[0], x[1])",
    "saturating_shift_left": "mcugen_saturating_shift_left(x[0], x[1])",
    "mbqm": "mcugen_mbqm(x[0], x[1], x[2])",
    "requantize": "mcugen_requantize(x[0], x[1], x[2], x[3], x[4], x[5])",
    "leading_zeros": "mcugen_count_leading_zeros((uint32_t)x[0])",
    "exp": "mcugen_exp_on_negative_values(x[0])",
    "one_over": "mcugen_one_over_one_plus_x_for_x_in_0_1(x[0])",
    "reciprocal": "mcugen_get_reciprocal(x[0], x[1], &unit)",
    "reciprocal_unit": "(mcugen_get_reciprocal(x[0], x[1], &unit), unit)",
    "softmax_output": "mcugen_softmax_output(x[0], x[1], x[2])",
}
DRIVER = r"""
#include "mcugen_fixed.h"
#include <stdio.h>
typedef char version_is_1[MCUGEN_RUNTIME_VERSION == 1 ? 1 : -1];
static int32_t call(int32_t function, const int32_t *x)
{
    int32_t unit = 0;
    switch (function) {
    CASES
    default: return unit;
    }
}
int main(void) /* stdin: function, rows, columns, then the rows; stdout: one number per row */
{
    int32_t head[3], x[6] = {0, 0, 0, 0, 0, 0};
    while (fread(head, sizeof head, 1, stdin) == 1) {
        int32_t row;
        for (row = 0; row < head[1]; row++) {
            int32_t y;
            if (fread(x, sizeof x[0], (size_t)head[2], stdin) != (size_t)head[2]) return 1;
            y = call(head[0], x);
            if (fwrite(&y, sizeof y, 1, stdout) != 1) return 1;
        }
    }
    return 0;
}
""".replace("CASES", "\n    ".join(f"case {i}: return {text};" for i, text in enumerate(CALLS.values())))

Ints = np.ndarray[Any, np.dtype[np.int64]]


@pytest.fixture(
    scope="module",
    params=["gcc -std=c99 -O2", "clang -std=c99 -O2", "gcc -std=c99 SANITIZE", "clang -std=c99 SANITIZE"],
)
def run(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, repository: Path
) -> Callable[..., Ints]:
    """The header's functions on columns of arguments: run(name, a, b, ...) -> int64 array."""
    command = request.param.split()
    if shutil.which(command[0]) is None and os.environ.get("CI") != "true":
        pytest.skip(f"{command[0]} is not installed")
    command = [c for word in command for c in (SANITIZERS if word == "SANITIZE" else [word])]
    folder = tmp_path_factory.mktemp("fixed")
    (folder / "driver.c").write_text(DRIVER)
    subprocess.run(
        [*command, *WARNINGS, f"-I{repository / 'runtime_c'}", "driver.c", "-o", "driver"],
        cwd=folder,
        check=True,
    )

    def call(name: str, *columns: Any) -> Ints:
        rows = np.stack(np.broadcast_arrays(*columns), axis=-1).astype("<i4")
        head = np.array([list(CALLS).index(name), *rows.shape], "<i4")
        done = subprocess.run([folder / "driver"], input=head.tobytes() + rows.tobytes(), capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        return np.frombuffer(done.stdout, "<i4").astype(np.int64)

    return call


@pytest.fixture
def rng(rng_seed: int) -> np.random.Generator:
    return np.random.default_rng(rng_seed)


def grid(*axes: Any) -> list[Ints]:
    return [axis.ravel() for axis in np.meshgrid(*axes)]


def numbers(rng: np.random.Generator, lo: int = INT32_MIN, hi: int = INT32_MAX) -> Ints:
    """The edges within [lo, hi], and random numbers of every size."""
    spread = rng.integers(INT32_MIN, INT32_MAX, RANDOM, endpoint=True) >> rng.integers(0, 31, RANDOM)
    both = np.concatenate([[lo, hi], EDGES, spread, rng.integers(lo, hi, RANDOM, endpoint=True)])
    return both[(both >= lo) & (both <= hi)]


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_header_compiles_as_cpp(compiler: str, tmp_path: Path, repository: Path) -> None:
    if shutil.which(compiler) is None and os.environ.get("CI") != "true":
        pytest.skip(f"{compiler} is not installed")
    (tmp_path / "driver.c").write_text(DRIVER)
    command = [compiler, "-x", "c++", "-std=c++17", *WARNINGS, f"-I{repository / 'runtime_c'}"]
    subprocess.run([*command, "-c", "driver.c", "-o", "driver.o"], cwd=tmp_path, check=True)


def test_products(run: Callable[..., Ints], rng: np.random.Generator) -> None:
    a, b = grid(EDGES, EDGES)
    a, b = np.append(a, numbers(rng)), np.append(b, rng.permutation(numbers(rng)))
    np.testing.assert_array_equal(run("srdhm", a, b), fixed.srdhm(a, b))
    both_least = (a == INT32_MIN) & (b == INT32_MIN)
    a, b = a[~both_least], b[~both_least]
    np.testing.assert_array_equal(run("rdhm", a, b), fixed.srdhm(a, b))


def test_shifts(run: Callable[..., Ints], rng: np.random.Generator) -> None:
    x, e = grid(np.append(EDGES, np.arange(-600, 600)), np.arange(32))
    x, e = np.append(x, some := numbers(rng)), np.append(e, rng.integers(0, 32, some.size))
    np.testing.assert_array_equal(run("rdbpot", x, e), fixed.rdbpot(x, e))
    for exponent in range(32):
        expected = fixed.saturating_rounding_multiply_by_pot(EDGES, exponent)
        np.testing.assert_array_equal(run("saturating_shift_left", EDGES, exponent), expected)
    expected = np.array([32 - int(n % 2**32).bit_length() for n in EDGES])
    np.testing.assert_array_equal(run("leading_zeros", EDGES), expected)


def test_mbqm_and_requantize(run: Callable[..., Ints], rng: np.random.Generator) -> None:
    x = numbers(rng)
    s = rng.integers(-31, 9, x.size)
    x = np.where(s > 0, x >> np.maximum(s, 0), x)
    q = rng.permutation(numbers(rng, 1 - 2**31))[: x.size]  # any but INT32_MIN
    x, q, s = x[: q.size], q, s[: q.size]
    np.testing.assert_array_equal(run("mbqm", x, q, s), fixed.mbqm(x, q, s))
    q = rng.integers(2**30, 2**31, x.size)
    zero_point = rng.integers(-128, 128, x.size)
    lo, hi = np.sort(rng.integers(-128, 128, (2, x.size)), axis=0)
    expected = np.clip(fixed.mbqm(x, q, s) + zero_point, lo, hi)
    np.testing.assert_array_equal(run("requantize", x, q, s, zero_point, lo, hi), expected)
    np.testing.assert_array_equal(run("clamp", x, lo, hi), np.clip(x, lo, hi))


def test_softmax_pieces(run: Callable[..., Ints], rng: np.random.Generator) -> None:
    quarters = -np.arange(0, 2**31, 2**24)
    negative = np.concatenate([numbers(rng, INT32_MIN, 0), quarters, quarters[1:] + 1, quarters - 1])
    np.testing.assert_array_equal(run("exp", negative), fixed.exp_on_negative_values(negative))
    fraction = numbers(rng, 0, INT32_MAX)
    expected = fixed.one_over_one_plus_x_for_x_in_0_1(fraction)
    np.testing.assert_array_equal(run("one_over", fraction), expected)
    positive = numbers(rng, 1, INT32_MAX)
    reciprocal, unit = fixed.get_reciprocal(positive, 12)
    np.testing.assert_array_equal(run("reciprocal", positive, 12), reciprocal)
    np.testing.assert_array_equal(run("reciprocal_unit", positive, 12), unit)
    bits = rng.integers(0, 12, fraction.size)
    scale = np.resize(numbers(rng, 2**30, INT32_MAX)[::-1], fraction.size)
    shifted = fixed.rdbpot(fixed.srdhm(scale, fraction), np.minimum(bits + 23, 31))
    expected = np.clip(np.where(bits > 8, 0, shifted) - 128, -128, 127)
    np.testing.assert_array_equal(run("softmax_output", fraction, scale, bits), expected)


# The twin against definitions in Python's own integers and fractions.


def half_up(x: Fraction) -> int:
    return math.floor(x + Fraction(1, 2))


def half_away(x: Fraction) -> int:
    return half_up(x) if x >= 0 else -half_up(-x)


def some_pairs(rng: np.random.Generator) -> list[tuple[int, int]]:
    pairs = grid(EDGES[::3], EDGES[1::3])
    rest = rng.integers(INT32_MIN, INT32_MAX, (2, 1000), endpoint=True)
    return [(int(a), int(b)) for a, b in np.concatenate([np.stack(pairs), rest], axis=1).T]


def test_srdhm_is_its_definition(rng: np.random.Generator) -> None:
    pairs = [*some_pairs(rng), (INT32_MIN, INT32_MIN)]
    expected = [min(half_up(Fraction(a * b, 2**31)), INT32_MAX) for a, b in pairs]
    assert fixed.srdhm(*zip(*pairs, strict=True)).tolist() == expected


def test_rdbpot_is_its_definition(rng: np.random.Generator) -> None:
    x, e = grid(np.concatenate([EDGES, np.arange(-40, 40)]), np.arange(32))
    expected = [half_away(Fraction(int(a), 2 ** int(b))) for a, b in zip(x, e, strict=True)]
    assert fixed.rdbpot(x, e).tolist() == expected


def test_mbqm_rounds_twice(rng: np.random.Generator) -> None:
    pairs = some_pairs(rng)
    for shift in range(-31, 9):
        cases = [(x >> max(shift, 0), abs(q) % 2**31) for x, q in pairs[shift + 31 :: 40]]
        high = [half_up(Fraction(x * 2 ** max(shift, 0) * q, 2**31)) for x, q in cases]
        expected = [half_away(Fraction(h, 2 ** max(-shift, 0))) for h in high]
        x, q = zip(*cases, strict=True)
        assert fixed.mbqm(x, q, shift).tolist() == expected


def test_mbqm_per_channel_broadcasts() -> None:
    x = np.array([[1000, -1000], [7, -7]])
    q, s = np.array([2**30, 3 * 2**29]), np.array([0, -1])
    assert fixed.mbqm(x, q, s).tolist() == [[500, -375], [4, -3]]


def test_mbqm_asserts_what_is_undefined_in_c() -> None:
    with pytest.raises(AssertionError, match="left shift"):
        fixed.mbqm(2**30, 2**30, 1)


def test_mbqm64_rounds_once(rng: np.random.Generator) -> None:
    for shift in range(-31, 8):
        x = rng.integers(-(2**47), 2**47, 50) >> (shift + 18 if shift > -17 else 0)
        q = rng.choice(
            [0, 2**30, 0x7FFEFFFF, 0x7FFF0000, 0x7FFFC000, INT32_MAX, *rng.integers(2**30, 2**31, 9)], 50
        )
        reduced = [min(half_up(Fraction(int(m), 2**16)), 2**15 - 1) for m in q]
        expected = [half_up(Fraction(int(a) * r, 2 ** (15 - shift))) for a, r in zip(x, reduced, strict=True)]
        assert fixed.mbqm64(x, q, shift).tolist() == expected


def test_round_half_away(rng: np.random.Generator) -> None:
    hard = [0.49999999999999994, 0.5, 1.5, 2.5, 2**52 - 0.5, 2**52 + 1.0, 2**53 + 2.0, 0.0, 1e-300]
    for values in (
        np.array(hard + [-v for v in hard]),
        np.array([0.49999997, 0.5, -8388607.5, 8388607.5, 16777216.0], np.float32),
        rng.integers(-(2**20), 2**20, 500) / 2,
        rng.normal(0, 1e4, 500),
    ):
        expected = [int(Decimal(float(v)).quantize(Decimal(1), ROUND_HALF_UP)) for v in values]
        assert fixed.round_half_away(values).tolist() == expected


def test_quantize_multiplier(rng: np.random.Generator) -> None:
    assert fixed.quantize_multiplier(0.0) == (0, 0)
    assert fixed.quantize_multiplier(1.0) == (2**30, 1)
    assert fixed.quantize_multiplier(1 - 2.0**-40) == (2**30, 1)  # the mantissa rounds up to 1
    assert fixed.quantize_multiplier(-0.75) == (-3 * 2**29, 0)
    assert fixed.quantize_multiplier(2.0**-32) == (2**30, -31)
    assert fixed.quantize_multiplier(2.0**-33) == (0, 0)
    for d in np.exp2(rng.uniform(-31, 30, 300)):
        q, shift = fixed.quantize_multiplier(float(d))
        assert 2**30 <= q < 2**31
        assert (
            abs(Fraction(q, 2**31) * Fraction(2) ** shift - Fraction(float(d))) * 2**32
            <= Fraction(2) ** shift
        )


def test_activation_range() -> None:
    assert fixed.activation_range(-math.inf, math.inf, 0.1, 5) == (-128, 127)
    assert fixed.activation_range(0, math.inf, 0.1, 5) == (5, 127)
    assert fixed.activation_range(0, 6, 0.05, 3) == (3, 123)
    assert fixed.activation_range(-1, 1, 0.1, 5) == (-5, 15)
    assert fixed.activation_range(0, 6, 1e-38, 5) == (5, 127)
    assert fixed.activation_range(20, 30, 0.1, 5) == (127, 127)
    assert fixed.activation_range(0, 6, 2.0**-10, 0, -32768, 32767) == (0, 6144)


def test_functions_approximate_mathematics(rng: np.random.Generator) -> None:
    a = numbers(rng, INT32_MIN, 0)
    np.testing.assert_allclose(fixed.exp_on_negative_values(a) / 2**31, np.exp(a / 2**26), atol=2e-7)
    np.testing.assert_allclose(fixed.exp_on_negative_values(a, 4) / 2**31, np.exp(a / 2**27), atol=2e-7)
    x = numbers(rng, INT32_MIN + 1)
    np.testing.assert_allclose(fixed.logistic(x) / 2**31, 1 / (1 + np.exp(-x / 2**27)), atol=2e-7)
    np.testing.assert_allclose(fixed.tanh(x) / 2**31, np.tanh(x / 2**27), atol=2e-7)
    positive = numbers(rng, 1)
    reciprocal, unit = fixed.get_reciprocal(positive, 12)
    np.testing.assert_allclose(reciprocal / 2.0 ** (31 + unit), 2.0**19 / positive, rtol=1e-7)


def test_softmax_where_tflm_aborts() -> None:
    equal = np.zeros((1, 600), np.int8)  # probabilities of 1/600 are nearest to 0
    assert np.all(fixed.softmax_int8(equal, *fixed.softmax_params(1.0, 0.1)) == -128)
    tiny = fixed.softmax_params(1.0, 2.0**-30)  # all but equal
    assert fixed.softmax_int8(np.array([[-128, 127]], np.int8), *tiny).tolist() == [[0, 0]]


def test_tables_beyond_tflm() -> None:
    assert fixed.relu_table(1.0, 0, 1e-12, -128).tolist() == [-128] * 129 + [127] * 127
    assert np.all(fixed.logistic_table(1e-12, 0) == 0)
    assert np.all(fixed.tanh_table(1e-12, 0) == 0)
    table = fixed.hard_swish_table(10.0, 0, 0.01, 0)  # si / so = 1000
    assert table.tolist() == [0] * 129 + [127] * 127
