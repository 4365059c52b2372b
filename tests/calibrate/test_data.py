"""Calibration and test data: what is understood, what is refused and how, and that no more comes out."""

from __future__ import annotations

import io
import struct
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcugen.calibrate import data
from mcugen.calibrate.data import DataSet, InputSpec, load_data, random_data
from mcugen.errors import UsageError
from mcugen.ir import DType

ONE = InputSpec("serving_default_input_1:0", (4, 3, 1), DType.FLOAT32)
TWO = [InputSpec("net/left:0", (4,), DType.FLOAT32), InputSpec("net/right:0", (2, 3), DType.FLOAT32)]
IDS = InputSpec("ids", (5,), DType.INT32)
RNG = np.random.default_rng(3)
X = RNG.standard_normal((6, 4, 3, 1)).astype(np.float32)
LEFT = RNG.standard_normal((6, 4)).astype(np.float32)
RIGHT = RNG.standard_normal((6, 2, 3)).astype(np.float32)
Y = np.arange(6, dtype=np.uint8)


def load(spec: Any, *inputs: InputSpec) -> DataSet:
    return load_data(spec, inputs or [ONE], purpose="calibration")


def saved(folder: Path, **arrays: Any) -> Path:
    path = folder / "calib.npz"
    np.savez(path, **arrays)
    return path


def same(found: DataSet, expected: np.ndarray = X, name: str = ONE.name) -> bool:
    array = found.arrays[name]
    assert array.dtype == np.float32
    assert array.flags.c_contiguous
    assert found.count == len(array) == len(expected)
    return np.array_equal(array, expected)


# --- what is understood


@pytest.mark.parametrize("name", [ONE.name, "input_1", "x", "serving_default_input_1_0", "samples"])
def test_npz_of_one_input(name: str, tmp_path: Path) -> None:
    found = load(saved(tmp_path, **{name: X}))
    assert same(found)
    assert found.description == "calib.npz (6 samples)"
    assert found.labels is None
    assert found.notes == (
        [] if name not in ("x", "samples") else [f'array "{name}" is taken for input "{ONE.name}"']
    )


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize(
    "names",
    [("net/left:0", "net/right:0"), ("left", "right"), ("left:0", "right:0"), ("net_left_0", "net_right_0")],
)
def test_npz_of_two_inputs(names: tuple[str, str], save: Callable[..., None], tmp_path: Path) -> None:
    path = tmp_path / "calib.npz"
    save(path, **{names[1]: RIGHT, names[0]: LEFT, "y": Y})
    found = load(path, *TWO)
    assert same(found, LEFT, "net/left:0")
    assert same(found, RIGHT, "net/right:0")
    assert found.labels is not None and np.array_equal(found.labels, Y)
    assert found.notes == []


def test_npy_and_any_suffix(tmp_path: Path) -> None:
    path = tmp_path / "calib.npy"
    np.save(path, np.asfortranarray(X))
    assert same(load(path))
    assert same(load(str(path)))
    assert same(load(path.rename(tmp_path / "calib.bin")))


def test_folder(tmp_path: Path) -> None:
    np.save(tmp_path / "b.npy", X[2:5])
    np.save(tmp_path / "a.npy", X[:2].astype(np.float64))
    np.save(tmp_path / "c.npy", X[5:, ..., 0])
    with pytest.raises(
        UsageError, match=r"c\.npy: it holds float32 samples of shape \[4, 3\], a\.npy float64 of \[4"
    ):
        load(tmp_path)
    np.save(tmp_path / "c.npy", X[5:])
    np.save(tmp_path / "labels.npy", Y)
    (tmp_path / "notes.txt").write_text("recorded on the board")
    (tmp_path / ".hidden.npy").write_text("")
    found = load(tmp_path)
    assert same(found)
    assert found.labels is not None and np.array_equal(found.labels, Y)
    assert found.notes == [f"{tmp_path.name}: ignored notes.txt"]


def test_folder_of_npz(tmp_path: Path) -> None:
    for index in range(3):
        part = slice(2 * index, 2 * index + 2)
        np.savez(tmp_path / f"{index}.npz", left=LEFT[part], right=RIGHT[part], y=Y[part])
    found = load(tmp_path, *TWO)
    assert same(found, LEFT, "net/left:0") and same(found, RIGHT, "net/right:0")
    assert found.labels is not None and np.array_equal(found.labels, Y)


def test_float64_is_cast_and_half_too(tmp_path: Path) -> None:
    for dtype in (np.float64, np.float16, ">f4", np.longdouble):
        assert same(load(saved(tmp_path, x=X.astype(dtype))), X.astype(dtype).astype(np.float32))


def test_python_objects_are_shared_not_copied() -> None:
    for spec in (X, {ONE.name: X}, {"input_1": X, "y": Y}):
        found = load(spec)
        assert same(found)
        assert np.shares_memory(found.arrays[ONE.name], X)


def lists() -> Iterator[list[np.ndarray]]:
    for left, right in zip(LEFT, RIGHT, strict=True):
        yield [left[None], right]


def dicts() -> Iterator[dict[str, Any]]:
    for left, right, label in zip(LEFT, RIGHT, Y, strict=True):
        yield {"right": right.astype(np.float64), "net/left:0": left.tolist(), "labels": label}


@pytest.mark.parametrize("spec", [lists, lists(), dicts, dicts(), list(dicts())], ids=range(5))
def test_samples(spec: Any) -> None:
    found = load(spec, *TWO)
    assert same(found, LEFT, "net/left:0") and same(found, RIGHT, "net/right:0")
    assert found.notes == []


def test_samples_of_one_input_and_labels() -> None:
    assert same(load(iter(X)))
    assert same(load(list(X[:, None])))
    assert same(load([[x] for x in X]))
    assert same(load(x[..., 0] for x in X))
    found = load({"input_1": x, "y": y} for x, y in zip(X, Y, strict=True))
    assert found.labels is not None and np.array_equal(found.labels, Y)


def test_a_generator_may_reuse_its_buffer() -> None:
    def reuse() -> Iterator[np.ndarray]:
        buffer = np.empty_like(X[0])
        for x in X:
            buffer[:] = x
            yield buffer

    assert same(load(reuse))


def test_module_and_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "calib_module", raising=False)
    (tmp_path / "calib_module.py").write_text(
        "import numpy as np\n"
        "values = np.ones((3, 4, 3, 1), np.float32)\n"
        "ready = iter(values)\n"
        "def samples():\n"
        "    import calib_helper\n"
        "    for value in values:\n"
        "        yield {'input_1': value[None] * calib_helper.FACTOR}\n"
        "def broken():\n"
        "    yield values[0]\n"
        "    raise KeyError('clip 7')\n"
        "def leaves():\n"
        "    raise SystemExit(0)\n"
        "number = 5\n"
    )
    (tmp_path / "calib_helper.py").write_text("FACTOR = 2\n")
    ones = np.ones((3, 4, 3, 1), np.float32)
    before = list(sys.path)
    found = load("calib_module:samples")
    assert same(found, ones * 2)
    assert found.description == "calib_module:samples (3 samples)"
    assert same(load("calib_module.py:values"), ones)
    assert same(load("calib_module:ready"), ones)
    for spec, words in {
        "calib_module:broken": r"it raised KeyError: 'clip 7' \(calib_module.py, line 10\)",
        "calib_module:leaves": "it raised SystemExit: 0",
        "calib_module:number": "int is neither an array, a dict of arrays, nor an iterable of samples",
        "calib_module:ghost": "module calib_module has no ghost",
        "ghost_module:samples": r"no module ghost_module[^$]*folder that holds ghost_module\.py",
        "calib_bad:samples": "it raised ZeroDivisionError",
    }.items():
        (tmp_path / "calib_bad.py").write_text("1 / 0\n")
        with pytest.raises(UsageError, match=words):
            load(spec)
    assert sys.path == before


def test_unit_axes_may_be_missing_or_too_many(tmp_path: Path) -> None:
    for array in (X[..., 0], X[:, None], X[..., None]):
        found = load(array)
        assert same(found)
        shape = list(array.shape[1:])
        assert found.notes == [f'input "{ONE.name}": samples of shape {shape} are read as [4, 3, 1]']


def test_the_only_array_that_fits_is_taken(tmp_path: Path) -> None:
    found = load(
        saved(tmp_path, x_int8=X.astype(np.int8), x=X, y=Y, name=np.array(["a"] * 6), scale=np.float32(1))
    )
    assert same(found)
    assert found.notes[1] == 'arrays not used: "x_int8", "name", "scale"'


def test_an_unused_pickle_does_no_harm(tmp_path: Path) -> None:
    assert same(load(saved(tmp_path, input_1=X, extra=np.array([{}], object))))


def test_an_input_called_y_is_an_input() -> None:
    spec = InputSpec("y", (2,), DType.FLOAT32)
    found = load({"y": np.ones((3, 2)), "labels": np.arange(3)}, spec)
    assert found.arrays["y"].shape == (3, 2)
    assert found.labels is not None


def test_integer_and_bool_inputs() -> None:
    found = load(np.arange(10).reshape(2, 5), IDS)
    assert found.arrays["ids"].dtype == np.int32
    assert load(iter(np.arange(10).reshape(2, 5)), IDS).arrays["ids"].dtype == np.int32
    mask = np.ones((2, 5), np.bool_)
    assert load(mask, InputSpec("mask", (5,), DType.BOOL)).arrays["mask"].dtype == np.bool_


def test_an_input_of_a_single_number() -> None:
    spec = InputSpec("t", (), DType.FLOAT32)
    assert load(np.ones(4), spec).arrays["t"].shape == (4,)
    assert load(iter([0.5, 1.5]), spec).arrays["t"].tolist() == [0.5, 1.5]


# --- what is refused


def file_of(content: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / "calib.npz"
        path.write_bytes(content)
        return path

    return make


def npy(header: str, payload: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    text = header.encode() + b"\n"
    size = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + size + text + payload


def bomb(file_size: int | None = None) -> bytes:
    """A zip entry whose .npy header claims 400 GB; `file_size` is what the zip's directory claims."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (100000000000,), }"))
    content = bytearray(stream.getvalue())
    if file_size is not None:
        directory = content.index(b"PK\x01\x02")
        content[directory + 24 : directory + 28] = struct.pack("<I", file_size)
    return bytes(content)


def twice() -> bytes:
    stream, array = io.BytesIO(), io.BytesIO()
    np.save(array, X)
    with zipfile.ZipFile(stream, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("x.npy", array.getvalue())
        archive.writestr("x.npy", array.getvalue())
    return stream.getvalue()


def zip_of(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


HEADER = "{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }"
FILES: list[tuple[str, Callable[[Path], Any], str]] = [
    ("missing", lambda folder: folder / "ghost.npz", "no such file or folder[^$]*module:function"),
    ("empty path", lambda _: "", "no such file or folder"),
    ("NUL", lambda _: "a\0b", "no such file or folder"),
    ("long", lambda _: "n" * 5000, "no such file or folder"),
    ("device", lambda _: "/dev/null", "not a regular file"),
    ("empty file", file_of(b""), "it is empty"),
    ("text", file_of(b"1,2,3\n"), r"it is neither \.npz nor \.npy"),
    ("pickle", file_of(b"\x80\x04N."), "Python pickle, which can run any code and is never loaded"),
    ("empty folder", lambda folder: folder, r"no \.npz or \.npy file in the folder"),
    ("no arrays", file_of(zip_of()), "there are no arrays in it"),
    ("only text", file_of(zip_of(readme=b"hello")), "there are no arrays in it"),
    ("cut zip", file_of(zip_of(x=bytes(100))[:-10]), "it cannot be read: File is not a zip file"),
    ("twice", lambda folder: file_of(twice())(folder), 'array "x": it is there twice'),
    ("bomb", file_of(bomb()), r'array "x": .* announces 400,000,000,000 bytes, 0 are there'),
    ("bomb of two claims", file_of(bomb(2**32 - 2)), "cannot unpack to 4,294,967,294"),
    ("npy claims", file_of(npy(HEADER % "10**9,")), "it cannot be read"),
    (
        "npy too short",
        file_of(npy(HEADER % "1000000000000,")),
        "announces 4,000,000,000,000 bytes, 0 are there",
    ),
    ("npy negative", file_of(npy(HEADER % "-4,", bytes(64))), r"shape \(-4,\) is negative"),
    ("npy version", file_of(npy(HEADER % "1,", bytes(4), (3, 0))), r"version \(3, 0\) .* is not supported"),
    ("npy header", file_of(npy("__import__('os').abort()")), "it cannot be read"),
    ("npy cut", file_of(b"\x93NUMPY\x01"), "it cannot be read"),
    (
        "objects",
        lambda folder: saved(folder, x=np.array([{}, None], object)),
        "holds Python objects or rows of different lengths; pickles are never loaded",
    ),
]


@pytest.mark.parametrize(("make", "words"), [pytest.param(*file[1:], id=file[0]) for file in FILES])
def test_files_that_are_refused(make: Callable[[Path], Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words) as info:
        load(make(tmp_path))
    assert info.value.exit_code == 2
    assert info.value.headline.startswith("calibration data from ")


def bad(value: float, at: int = 2) -> np.ndarray:
    array = X.copy()
    array[at, 0, :2, 0] = value
    return array


WHERE = f'input "{ONE.name}"'
VALUES: list[tuple[str, Any, list[InputSpec], str]] = [
    (
        "integers",
        X.astype(np.uint8),
        [ONE],
        f"{WHERE}: the data are uint8; the model expects float32 samples of shape \\[4, 3, 1\\]"
        "\n    fix: scale your data as in training",
    ),
    ("bools", X > 0, [ONE], "the data are bool; the model expects float32"),
    ("floats", np.ones((2, 5)), [IDS], "the data are float64; the model expects int32 samples of shape .5."),
    ("out of range", np.full((2, 5), 2**40), [IDS], "the data reach from 1099511627776 to 1099511627776"),
    ("text", np.full((6, 4, 3, 1), "a"), [ONE], "the data are <U1; the model expects"),
    ("complex", X.astype(np.complex64), [ONE], "the data are complex64"),
    ("objects", X.astype(object), [ONE], "Python objects"),
    ("ragged", {"x": [[1.0], [1.0, 2.0]]}, [ONE], "rows of different lengths"),
    (
        "shape",
        X[:, :3],
        [ONE],
        r"has shape \[6, 3, 3, 1\]; .*\n    fix: give an array of shape \[N, 4, 3, 1\]",
    ),
    ("one sample", X[0], [ONE], r"this looks like one sample; put the sample axis first: x\[None\]"),
    ("order", X.transpose(0, 3, 2, 1), [ONE], "shape"),
    (
        "channels",
        np.ones((6, 2, 8, 8)),
        [InputSpec("i", (8, 8, 2), DType.FLOAT32)],
        "axes are in another order",
    ),
    ("scalar", np.float32(3), [ONE], r"has shape \[\]"),
    ("empty", X[:0], [ONE], "there are no samples in it"),
    (
        "nan",
        bad(np.nan),
        [ONE],
        f"{WHERE}: 2 values are NaN, infinite or beyond float32, the first in sample 2",
    ),
    ("inf", bad(-np.inf), [ONE], "the first in sample 2"),
    ("beyond", X.astype(np.float64) * 1e300, [ONE], "beyond float32, the first in sample 0"),
    ("no array", {"y": Y}, [ONE], "there is no array for it; the model expects float32"),
    ("nothing", {}, [ONE], "there is no array for it"),
    (
        "undecided",
        {"a": X, "b": X},
        [ONE],
        r'no array has its name; there are "a" float32\[6, 4, 3, 1\], "b"',
    ),
    (
        "counts",
        {"left": LEFT, "right": RIGHT[1:]},
        TWO,
        "samples differ: input .net/left:0. 6, input .net/right:0. 5",
    ),
    ("labels count", {"input_1": X, "y": Y[1:]}, [ONE], "samples differ: .* labels 5"),
    ("labels", {"input_1": X, "y": np.array([None] * 6)}, [ONE], r"labels: they are object\[6\]"),
    ("one label", {"input_1": X, "y": 3}, [ONE], r"labels: they are int64\[\]"),
    ("one for two", LEFT, TWO, r"a model with 2 inputs needs a \.npz file with its arrays by input name"),
    (
        "name",
        {"left": LEFT, "wrong": RIGHT},
        TWO,
        r'input "net/right:0": no array has its name; there are "wrong"',
    ),
    (
        "shared alias",
        {"in": X},
        [InputSpec(f"{i}/in", (4, 3, 1), DType.FLOAT32) for i in "ab"],
        "no array has",
    ),
    ("no samples", iter([]), [ONE], "it gave no samples"),
    ("number", 7, [ONE], "int is neither an array"),
    (
        "sample shape",
        [X[0], X[0, :3]],
        [ONE],
        r"samples, sample 1, input .*: it has shape \[3, 3, 1\]; the model",
    ),
    ("batches", [X], [ONE], "yield one sample at a time"),
    (
        "sample dtype",
        [X[0].astype(int)],
        [ONE],
        "sample 0, .*: the data are int64; the model expects float32",
    ),
    ("sample nan", [X[0], X[1], bad(np.nan)[2]], [ONE], "2 values are NaN, .* the first in sample 2"),
    ("sample list", [[X[0], X[0]]], [ONE], "sample 0: it is a list of 2 arrays, the model has 1 inputs"),
    ("sample array", [LEFT[0]], TWO, "it is one ndarray, the model has 2 inputs\n    fix: yield dicts"),
    (
        "sample keys",
        [{"left": LEFT[0], "rigth": RIGHT[0]}],
        TWO,
        "it has no net/right:0; its keys are left, rigth",
    ),
    ("sample ragged", [[[[1.0], [2.0, 3.0]]]], [ONE], "rows of different lengths"),
    ("some labels", [{"input_1": X[0]}, {"input_1": X[1], "y": 1}], [ONE], "samples differ"),
]


@pytest.mark.parametrize(
    ("spec", "inputs", "words"), [pytest.param(*value[1:], id=value[0]) for value in VALUES]
)
def test_values_that_are_refused(spec: Any, inputs: list[InputSpec], words: str) -> None:
    with pytest.raises(UsageError, match=words) as info:
        load(spec, *inputs)
    assert all(fault.fix for fault in info.value.faults)


def test_all_faults_at_once(tmp_path: Path) -> None:
    path = saved(tmp_path, left=LEFT.astype(np.int16), right=RIGHT[:5, :1], y=Y[:2])
    with pytest.raises(UsageError) as info:
        load(path, *TWO)
    assert info.value.headline == "calibration data from calib.npz: 3 faults"
    assert "numbers of samples differ" in str(info.value)
    with pytest.raises(UsageError, match="test data from Python: 2 faults"):
        load_data([[LEFT[0][:2], RIGHT[0][:1]]], TWO, purpose="test")
    with pytest.raises(UsageError, match="2 faults"):
        load({"left": LEFT * np.nan, "right": RIGHT * np.inf}, *TWO)


def test_too_many_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "MAX_BYTES", X.nbytes)
    assert load(X).count == 6
    with pytest.raises(UsageError, match=r"at most 288 are read[^$]*a few hundred samples are enough"):
        load(X.astype(np.float64))

    def endless() -> Iterator[np.ndarray]:
        while True:
            yield X[0]

    with pytest.raises(UsageError, match="more than 288 bytes of samples and has not ended"):
        load(endless)


def test_random_data() -> None:
    found = random_data([ONE, IDS], 50, seed=1)
    again = random_data([ONE, IDS], 50, seed=1)
    other = random_data([ONE, IDS], 50, seed=2)
    assert found.count == 50
    assert np.array_equal(found.arrays[ONE.name], again.arrays[ONE.name])
    assert not np.array_equal(found.arrays[ONE.name], other.arrays[ONE.name])
    assert found.arrays[ONE.name].shape == (50, 4, 3, 1)
    assert found.arrays[ONE.name].dtype == np.float32
    assert abs(float(found.arrays[ONE.name].std()) - 1) < 0.1
    assert set(found.arrays["ids"].ravel().tolist()) == {0, 1}
    assert found.arrays["ids"].dtype == np.int32
    assert "random" in found.description
    assert "RANDOM" in found.notes[0]
    with pytest.raises(UsageError, match="0 random samples"):
        random_data([ONE], 0, seed=1)


# --- properties


@given(
    shape=st.lists(st.integers(1, 3), max_size=4).map(tuple),
    cuts=st.lists(st.integers(1, 3), min_size=1, max_size=4),
    fortran=st.booleans(),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_one_array_in_any_form(shape: tuple[int, ...], cuts: list[int], fortran: bool) -> None:
    spec = InputSpec("x", shape, DType.FLOAT32)
    count = sum(cuts)
    array = np.arange(count * int(np.prod(shape)), dtype=np.float32).reshape(count, *shape)
    stored = np.asfortranarray(array) if fortran else array
    forms = [stored, {"x": stored}, iter(stored), ({"x": sample[None]} for sample in stored)]
    for form in forms:
        assert same(load(form, spec), array, "x")
    with tempfile.TemporaryDirectory() as folder:
        for index, part in enumerate(np.split(stored, np.cumsum(cuts)[:-1])):
            np.save(Path(folder) / f"{index}.npy", part)
        assert same(load(folder, spec), array, "x")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damaged_files_never_surprise(save: Callable[..., None], tmp_path: Path) -> None:
    path = tmp_path / "calib.npz"
    save(path, input_1=X, y=Y)
    content = path.read_bytes()
    random = np.random.default_rng(11)
    refused = 0
    for round_ in range(300):
        damaged = bytearray(content[: random.integers(0, len(content))] if round_ % 4 == 0 else content)
        for bit in random.integers(0, max(8 * len(damaged), 1), 3 if damaged else 0):
            damaged[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(bytes(damaged))
        try:
            found = load(path)
        except UsageError as error:
            refused += 1
            assert error.faults
        else:
            assert found.arrays[ONE.name].shape == (found.count, 4, 3, 1)
    assert refused > 0
