"""Functions of float32: the C and its twin in numpy have the same bits everywhere, and are close to float64's."""

from __future__ import annotations

import ctypes
import math
import subprocess
from pathlib import Path

import numpy as np
import pytest

from mcugen.float_math import _DIGITS, FUNCTIONS, apply
from mcugen.ir import Array
from mcugen.ops import functions

ARGUMENTS = {  # beside x; functions that are not named take x alone
    **dict.fromkeys(("add", "sub", "mul", "div", "max", "min", "squared_difference", "prelu"), 1),
    **dict.fromkeys(("leaky_relu", "thresholded_relu", "elu", "celu"), 1),
    **dict.fromkeys(("clip", "shrink", "hard_sigmoid", "selu"), 2),
}
BUILDS = (
    ("gcc", ["-O3"]),
    ("clang", ["-O2", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"]),
)
SPECIAL = [0.0, 1.0, 0.5, 1.5, 2.5, 6.0, 2.0**23, 2.0**-126, 2.0**-127, 1e-45, 3.4e38, math.inf, math.nan]
ULP = {  # largest errors in units in the last place, over all float32 (ceilings of what was measured)
    **dict.fromkeys(("exp", "log", "sqrt"), 1.0),
    **dict.fromkeys(("expm1", "tanh", "erf", "rsqrt", "softplus", "softsign"), 2.0),
    **dict.fromkeys(("sigmoid", "hard_swish", "sin", "cos", "atan"), 3.0),
}


def everywhere(count: int, seed: int = 0) -> Array:
    """float32 values: random bits, ordinary numbers, special values of both signs."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2**32, count, dtype=np.uint64).astype(np.uint32).view(np.float32)
    sizes = np.repeat([1.0, 12.0, 110.0, 10000.0], count // 4)
    ordinary = (rng.uniform(-1.0, 1.0, sizes.size) * sizes).astype(np.float32)
    return np.concatenate([bits, ordinary, np.array(SPECIAL + [-s for s in SPECIAL], np.float32)])


def source() -> str:
    lines = ['#include "mcugen_float_math.h"']
    for name in FUNCTIONS:
        count = 1 + ARGUMENTS.get(name, 0)
        call = ", ".join(("x[i]", "a[i]", "b[i]")[:count])
        lines += [
            f"void apply_{name}(const float *x, const float *a, const float *b, float *y, int32_t n)",
            "{ (void)a; (void)b;",
            f"  for (int32_t i = 0; i < n; ++i) {{ y[i] = mcugen_f32_{name}({call}); }} }}",
        ]
    return "\n".join(lines)


@pytest.mark.parametrize(("compiler", "flags"), BUILDS)
def test_c_has_the_same_bits(tmp_path: Path, compiler: str, flags: list[str], repository: Path) -> None:
    (tmp_path / "functions.c").write_text(source(), encoding="utf-8")
    command = [
        compiler,
        "-std=c99",
        "-Wall",
        "-Wextra",
        "-Wconversion",
        "-Werror",
        *flags,
        "-fPIC",
        "-shared",
    ]
    command += [
        f"-I{repository / 'runtime_c'}",
        "functions.c",
        "-nostdlib",
        "-Wl,--no-undefined",
        "-o",
        "functions.so",
    ]
    subprocess.run(command, cwd=tmp_path, check=True)  # without libm
    library = ctypes.CDLL(str(tmp_path / "functions.so"))
    rng = np.random.default_rng(1)
    x = everywhere(200_000)
    others = [rng.permutation(x), rng.permutation(x)]
    for name in FUNCTIONS:
        y = np.empty_like(x)
        pointers = (v.ctypes.data_as(ctypes.c_void_p) for v in (x, *others, y))
        getattr(library, f"apply_{name}")(*pointers, len(x))
        wanted = apply(name, x, *others[: ARGUMENTS.get(name, 0)])
        assert wanted.dtype == np.float32
        wrong = (y.view(np.int32) != wanted.view(np.int32)) & ~(np.isnan(y) & np.isnan(wanted))
        assert not wrong.any(), (name, x[wrong][:5], y[wrong][:5], wanted[wrong][:5])


@pytest.mark.parametrize("name", ULP)
def test_close_to_float64(name: str) -> None:
    x = everywhere(400_000, seed=2)
    x = x[~np.isnan(x)]
    with np.errstate(all="ignore"):
        function = np.expm1 if name == "expm1" else functions.FUNCTIONS[name]
        exact = np.asarray(function(x.astype(np.float64)), np.float64)
        wanted = exact.astype(np.float32)
        y = apply(name, x)
        error = np.abs(y - exact) / np.maximum(np.spacing(np.abs(wanted)).astype(np.float64), 2.0**-149)
    finite = np.isfinite(wanted) & np.isfinite(y)
    assert error[finite].max() <= ULP[name]
    assert np.array_equal(y[~finite], wanted[~finite], equal_nan=True)


@pytest.mark.parametrize("name", ["silu", "mish", "gelu", "gelu_tanh", "elu", "selu", "celu"])
def test_activations_are_close_to_float64(name: str) -> None:
    """Relative to x, beside which these functions are 0 where x is far below 0."""
    x = everywhere(200_000, seed=3)
    x = x[np.abs(x) < 1e30]
    rest = ([1.0] if ARGUMENTS.get(name) else []) + ([1.05] if name == "selu" else [])
    with np.errstate(all="ignore"):
        exact = functions.FUNCTIONS[name](x.astype(np.float64), *(float(np.float32(r)) for r in rest))
    error = np.abs(apply(name, x, *rest) - exact)
    assert np.all(error <= 1.5e-7 * np.maximum(np.abs(x), 2.0**-126))


@pytest.mark.parametrize("shape", [(), (1,), (2, 0), (2, 3, 4)])
def test_keeps_shapes(shape: tuple[int, ...]) -> None:
    x = np.full(shape, 0.7, np.float32)
    for name in set(FUNCTIONS) - set(ARGUMENTS):
        assert apply(name, x).shape == shape and apply(name, x).dtype == np.float32, name


def test_special_values() -> None:
    for name in ("sqrt", "tanh", "erf", "sin", "atan", "floor", "ceil", "round", "sign"):
        assert np.signbit(apply(name, -0.0)) and not np.signbit(apply(name, 0.0)), name
    assert apply("log", 0.0) == -np.inf and np.isnan(apply("log", -1.0)) and apply("log", np.inf) == np.inf
    assert apply("exp", -np.inf) == 0.0 and apply("exp", np.inf) == np.inf and apply("exp", -103.0) > 0.0
    assert np.isnan(apply("sin", np.inf)) and np.isnan(apply("cos", -np.inf))
    assert apply("round", [0.5, 1.5, 2.5, -0.5, 8388609.0]).tolist() == [0.0, 2.0, 2.0, -0.0, 8388609.0]
    assert apply("floor", [-0.5, 0.5, -2.0, 1e30]).tolist() == [-1.0, 0.0, -2.0, np.float32(1e30)]
    for name in set(FUNCTIONS) - set(ARGUMENTS):
        assert np.isnan(apply(name, np.nan)), name


def test_digits_of_two_over_pi() -> None:
    def arctan_of_inverse(n: int, one: int) -> int:
        term, total, k = one // n, 0, 1
        while term:
            total += term // k if k % 4 == 1 else -(term // k)
            term, k = term // (n * n), k + 2
        return total

    one = 1 << 320
    pi = 4 * (4 * arctan_of_inverse(5, one) - arctan_of_inverse(239, one))
    digits = 2 * one * one // pi
    assert _DIGITS.tolist() == [digits >> (320 - 8 * k) & 0xFFFFFFFF for k in range(25)]
