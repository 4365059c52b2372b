"""The host twin: what it takes and refuses, its cache, and real numbers as the C helpers see them."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cffi
import numpy as np
import pytest
import zoo

import mcugen
from mcugen.errors import ToolError, UsageError
from mcugen.ir import Array
from mcugen.simulate import HostLibrary, cache_dir, dequantize_port, quantize_port


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`small` (one input [1,4,4], one output [3]) and `every_kernel` (two inputs, three outputs)."""
    work = tmp_path_factory.mktemp("simulate")
    for model in (zoo.small, zoo.every_kernel):
        mcugen.build(model(work), calib="random", out=work)
    return work


@pytest.fixture(scope="module")
def small(built: Path) -> HostLibrary:
    return HostLibrary(built / "small")


@pytest.fixture(scope="module")
def several(built: Path) -> HostLibrary:
    return HostLibrary(built / "every_kernel")


def random_samples(library: HostLibrary, count: int = 3) -> dict[str, Array]:
    rng = np.random.default_rng(5)
    return {p["name"]: rng.integers(-128, 128, (count, *p["shape"])).astype(np.int8) for p in library.inputs}


# --- what comes in and out ---


def test_one_input_in_every_form(small: HostLibrary) -> None:
    x = random_samples(small)["x"]
    expected = small.run(x)
    assert expected.shape == (3, 3) and expected.dtype == np.int8
    for form in ([x], {"x": x}, list(x), x[::-1][::-1], np.asfortranarray(x)):
        assert np.array_equal(small.run(form), expected)
    assert np.array_equal(small.run([x[0]]), expected[:1]), "a list of one sample"
    assert np.array_equal(np.concatenate([small.run(x[i : i + 1]) for i in range(3)]), expected)


def test_no_samples_give_no_results(small: HostLibrary) -> None:
    assert small.run(np.zeros((0, 1, 4, 4), np.int8)).shape == (0, 3)
    assert small.run_float(np.zeros((0, 1, 4, 4), np.float32)).shape == (0, 3)


def test_several_inputs_and_outputs(several: HostLibrary) -> None:
    x = random_samples(several)
    as_list = several.run([x["a"], x["b"]])
    as_dict = several.run({"b": x["b"], "a": x["a"]})
    assert [list(r.shape[1:]) for r in as_list] == [p["shape"] for p in several.outputs]
    assert list(as_dict) == ["scores", "curve", "turned"]
    for one, other in zip(as_list, as_dict.values(), strict=True):
        assert np.array_equal(one, other)


def test_several_threads(built: Path, several: HostLibrary) -> None:
    """Each with a library of its own, whose layers do not end up in another's."""
    x = random_samples(several, 1000)
    expected = several.run_layers(x)[1]

    def equal(_: int) -> bool:
        library = HostLibrary(built / "every_kernel")
        found = [library.run_layers(x)[1] for _ in range(5)]
        return all(np.array_equal(a, b) for traces in found for a, b in zip(traces, expected, strict=True))

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(equal, range(4)))


def test_layers_come_in_order(several: HostLibrary) -> None:
    x = random_samples(several)
    outputs, layers = several.run_layers(x)
    assert [a.shape for a in layers] == [(3, e["output"]["bytes"]) for e in several.layers]
    last = {e["output"]["tensor"]: a for e, a in zip(several.layers, layers, strict=True)}
    for port, output in zip(several.outputs, outputs, strict=True):
        if port["name"] in last:
            assert np.array_equal(last[port["name"]], output.reshape(3, -1))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((1, 1, 4, 4), np.float32), "not int8"),
        (np.zeros((1, 1, 4, 4), np.int64), "not int8"),
        (np.zeros((1, 4, 4), np.int8), r"shape \[1, 4, 4\]"),
        (np.zeros((), np.int8), r"give \[N, 1, 4, 4\]"),
        ({"y": np.zeros((1, 1, 4, 4), np.int8)}, r"missing \['x'\], unknown \['y'\]"),
        ([np.zeros((1, 4, 4), np.int8), np.zeros((1, 4, 3), np.int8)], "different shapes"),
    ],
)
def test_wrong_samples_are_explained(small: HostLibrary, x: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        small.run(x)  # type: ignore[arg-type]


def test_wrong_numbers_of_inputs_are_explained(several: HostLibrary) -> None:
    x = random_samples(several)
    with pytest.raises(UsageError, match="one array"):
        several.run(x["a"])
    with pytest.raises(UsageError, match="1 arrays"):
        several.run([x["a"]])
    with pytest.raises(UsageError, match="different numbers of samples"):
        several.run([x["a"], x["b"][:2]])
    with pytest.raises(UsageError) as caught:
        several.run([x["a"][:, :1], x["b"].astype(np.int16)])
    assert len(caught.value.faults) == 2, "all faults at once"


@pytest.mark.parametrize("x", [np.full((1, 1, 4, 4), "a"), np.zeros((1, 1, 4, 4), complex)])
def test_run_float_takes_real_numbers_only(small: HostLibrary, x: Array) -> None:
    with pytest.raises(UsageError, match="real numbers"):
        small.run_float(x)


# --- real numbers: the twin and the header's helpers ---


def helper(library: HostLibrary, work: Path, flags: list[str]) -> tuple[object, cffi.FFI]:
    """The header's inline functions, as a shared object."""
    source = work / "helper.c"
    source.write_text(
        '#include "small.h"\n#include <stddef.h>\n'
        "void quantize(const float *x, int8_t *y, size_t n);\n"
        "void quantize(const float *x, int8_t *y, size_t n)\n"
        "{ for (size_t i = 0; i < n; ++i) y[i] = small_quantize_input(x[i]); }\n"
        "void dequantize(const int8_t *x, float *y, size_t n);\n"
        "void dequantize(const int8_t *x, float *y, size_t n)\n"
        "{ for (size_t i = 0; i < n; ++i) y[i] = small_dequantize_output(x[i]); }\n"
    )
    made = work / "helper.so"
    command = [
        "cc",
        "-std=c99",
        *flags,
        "-shared",
        "-fPIC",
        f"-I{library.folder / 'src'}",
        source,
        "-o",
        made,
    ]
    subprocess.run(command, check=True)
    ffi = cffi.FFI()
    ffi.cdef(
        "void quantize(const float *, int8_t *, size_t); void dequantize(const int8_t *, float *, size_t);"
    )
    return ffi.dlopen(str(made)), ffi


def many_floats(scale: float) -> Array:
    """Random bit patterns (NaN, infinities and denormals among them), and the neighbours of all ties."""
    rng = np.random.default_rng(7)
    patterns = rng.integers(0, 2**32, 200_000, dtype=np.uint64).astype(np.uint32).view(np.float32)
    near = np.float32(scale) * rng.uniform(-300, 300, 100_000).astype(np.float32)
    ties = np.float32(scale) * np.arange(-300, 300, 0.5, dtype=np.float32)
    around = [np.nextafter(ties, np.float32(s)) for s in (-np.inf, np.inf)]
    special = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1e-45, -1e-45, 3.4e38, -3.4e38], np.float32)
    return np.concatenate([patterns, near, ties, *around, special])


@pytest.mark.parametrize("flags", [["-O0"], ["-O3", "-march=native"]])
def test_quantize_equals_the_header(small: HostLibrary, tmp_path: Path, flags: list[str]) -> None:
    lib, ffi = helper(small, tmp_path, flags)
    x = many_floats(small.inputs[0]["scale"])
    got = np.zeros(x.shape, np.int8)
    lib.quantize(ffi.cast("float *", x.ctypes.data), ffi.cast("int8_t *", got.ctypes.data), x.size)  # type: ignore[attr-defined]
    wanted = quantize_port(x, small.inputs[0])
    wrong = np.flatnonzero(got != wanted)
    assert not wrong.size, f"{x[wrong[0]]!r}: {got[wrong[0]]} for {wanted[wrong[0]]}"
    assert quantize_port(np.float32(np.nan), small.inputs[0]) == small.inputs[0]["zero_point"]
    assert {-128, 127} <= set(wanted.tolist())


def test_dequantize_equals_the_header(small: HostLibrary, tmp_path: Path) -> None:
    lib, ffi = helper(small, tmp_path, ["-O2"])
    q = np.arange(-128, 128).astype(np.int8)
    got = np.zeros(256, np.float32)
    lib.dequantize(ffi.cast("int8_t *", q.ctypes.data), ffi.cast("float *", got.ctypes.data), 256)  # type: ignore[attr-defined]
    assert got.tobytes() == dequantize_port(q, small.outputs[0]).tobytes()


def test_halves_go_away_from_zero() -> None:
    port = {"dtype": "int8", "scale": 0.5, "zero_point": 3}
    x = np.array([0.25, -0.25, 0.75, -0.75, 0.2499, -0.2499, 100.0, -100.0])
    assert quantize_port(x, port).tolist() == [4, 2, 5, 1, 3, 3, 127, -128]


def test_run_float_is_run_between_helpers(several: HostLibrary) -> None:
    rng = np.random.default_rng(3)
    x = {p["name"]: rng.standard_normal((4, *p["shape"])) for p in several.inputs}
    ints = [quantize_port(x[p["name"]], p) for p in several.inputs]
    for port, real, q in zip(several.outputs, several.run_float(x).values(), several.run(ints), strict=True):
        assert real.dtype == np.float32
        assert np.array_equal(real, dequantize_port(q, port))


# --- compiling and keeping ---


def test_compiled_once(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    wrapper = tmp_path / "counting-cc"
    wrapper.write_text(f'#!/bin/sh\n[ "$1" = --version ] || echo run >>"{log}"\nexec cc "$@"\n')
    wrapper.chmod(0o755)
    cache = tmp_path / "cache"
    cache.mkdir()
    before = sorted((built / "small").rglob("*"))
    for _ in range(3):
        HostLibrary(built / "small", compiler=str(wrapper), cache=cache)
    assert log.read_text() == "run\n"
    HostLibrary(built / "small", compiler=str(wrapper), cache=cache, flags=["-O1"])
    assert log.read_text() == "run\nrun\n"
    assert sorted((built / "small").rglob("*")) == before, "nothing is left in the library's folder"
    assert len(list(cache.iterdir())) == 2


def test_a_changed_source_is_compiled_again(built: Path, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    subprocess.run(["cp", "-r", built / "small", folder], check=True)
    x = np.zeros((1, 1, 4, 4), np.int8)
    first = HostLibrary(folder, cache=tmp_path).run(x)
    source = folder / "src/small.c"
    source.write_text(
        source.read_text().replace(
            "void small_run(small_t *net)\n{", "void small_run(small_t *net)\n{\n    if (net) return;"
        )
    )
    assert not np.array_equal(HostLibrary(folder, cache=tmp_path).run(x), first)


@pytest.mark.parametrize("place", ["with space and 'quote'", "-starts-with-a-dash", "ünicode"])
def test_any_folder_name_and_relative_paths(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    folder = tmp_path / place
    subprocess.run(["cp", "-r", "--", built / "small", folder], check=True)
    monkeypatch.chdir(tmp_path)
    x = np.zeros((1, 1, 4, 4), np.int8)
    cache = Path("cache here")
    cache.mkdir()
    result = HostLibrary(place, cache=cache).run(x)
    monkeypatch.chdir(folder)
    assert np.array_equal(HostLibrary(".", cache=tmp_path).run(x), result)


def test_a_home_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.delenv("MCUGEN_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(blocked))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    found = cache_dir()
    assert found == tmp_path / f"mcugen-{os.getuid()}"
    assert found.stat().st_mode & 0o777 == 0o700
    found.chmod(0o777)
    assert cache_dir() != found, "anybody could have put a program there"
    found.rmdir()
    found.symlink_to("/")
    assert cache_dir() != found


def test_cache_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCUGEN_CACHE", str(tmp_path / "mine"))
    assert cache_dir() == tmp_path / "mine"
    monkeypatch.delenv("MCUGEN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg/mcugen"


def test_no_compiler(built: Path, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="no-such-cc") as caught:
        HostLibrary(built / "small", compiler="no-such-cc", cache=tmp_path)
    assert caught.value.exit_code == 7


def test_c_that_does_not_compile(built: Path, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    subprocess.run(["cp", "-r", built / "small", folder], check=True)
    (folder / "src/small.c").write_text("#error broken\n")
    with pytest.raises(ToolError, match="broken"):
        HostLibrary(folder, cache=tmp_path)


@pytest.mark.parametrize("folder", ["missing", "."])
def test_other_folders_are_refused(folder: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        HostLibrary(tmp_path / folder)
