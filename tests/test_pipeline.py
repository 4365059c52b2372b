"""The Python interface: build() with all that calib may be, and HostLibrary on what it wrote."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import zoo

import mcugen
from mcugen.boards import load_board
from mcugen.errors import UsageError
from mcugen.ir import Array
from mcugen.pipeline import Settings, compile_model
from mcugen.verify import verify


@pytest.fixture(scope="module")
def x() -> Array:
    return np.random.default_rng(7).standard_normal((24, 1, 4, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Array]]:
    """every_kernel.onnx with inputs a and b, and samples."""
    rng = np.random.default_rng(8)
    a = rng.standard_normal((10, 3, 9, 7)).astype(np.float32)
    b = rng.standard_normal((10, 5)).astype(np.float32)
    return zoo.every_kernel(tmp_path_factory.mktemp("two")), {"a": a, "b": b}


def test_all_forms_of_the_same_data_give_the_same_bytes(tmp_path: Path, x: Array) -> None:
    model = zoo.small(tmp_path)
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "x.npz", x=x)
    (tmp_path / "folder").mkdir()
    for i in range(2):
        np.savez(tmp_path / f"folder/{i}.npz", x=x[12 * i : 12 * i + 12])
    forms: list[Any] = [
        x,
        x.astype(np.float64),
        {"x": x},
        ({"x": sample} for sample in x),
        ([sample[np.newaxis]] for sample in x),
        lambda: iter(x),
        tmp_path / "x.npy",
        str(tmp_path / "x.npz"),
        tmp_path / "folder",
    ]
    sources = set()
    for i, calib in enumerate(forms):
        built = mcugen.build(model, calib=calib, out=tmp_path / str(i))
        sources.add(tuple(path.read_bytes() for path in sorted((built.path / "src").iterdir())))
    assert len(sources) == 1
    again = mcugen.build(str(model), calib=built.path / "small.json", out=tmp_path / "again")
    assert tuple(path.read_bytes() for path in sorted((again.path / "src").iterdir())) in sources


def test_what_build_returns(tmp_path: Path, x: Array) -> None:
    built = mcugen.build(
        zoo.small(tmp_path), calib=x, board=load_board("cortex-m0"), out=tmp_path, name="tiny"
    )
    assert isinstance(built, mcugen.Build)
    assert built.path == tmp_path / "tiny" and (built.path / "src/tiny.h").is_file()
    assert built.arena == built.manifest["memory"]["arena"] == 24
    assert built.manifest["target"]["board"] == "cortex-m0"


def test_one_input(tmp_path: Path, x: Array) -> None:
    net = mcugen.HostLibrary(mcugen.build(zoo.small(tmp_path), calib=x, out=tmp_path).path)
    y = net.run_float(x)
    assert y.shape == (24, 3) and y.dtype == np.float32
    (q,) = net.quantize_inputs(x)
    raw = net.run(q)
    assert raw.shape == (24, 3) and raw.dtype == np.int8
    for same in ({"x": q}, [q]):
        assert np.array_equal(net.run(same), raw)
    with pytest.raises(UsageError, match="give int8, or use run_float"):
        net.run(x)


def test_several_inputs_and_outputs(two: tuple[Path, dict[str, Array]], tmp_path: Path) -> None:
    model, samples = two
    net = mcugen.HostLibrary(mcugen.build(model, calib=samples, out=tmp_path).path)
    by_name = net.run_float(samples)
    assert {name: y.shape for name, y in by_name.items()} == {
        "scores": (10, 5),
        "curve": (10, 3),
        "turned": (10, 6, 3, 2),
    }
    in_order = net.run_float([samples["a"], samples["b"]])
    assert all(np.array_equal(y, by_name[name]) for name, y in zip(by_name, in_order, strict=True))
    for wrong in ([samples["a"]], {"a": samples["a"]}, {"a": samples["a"], "c": samples["b"]}):
        with pytest.raises(UsageError):
            net.run_float(wrong)


def test_shapes_leave_out_a_batch_of_one(tmp_path: Path) -> None:
    model = onnx.load(zoo.small(tmp_path))
    for port in (model.graph.input[0], model.graph.output[0]):
        port.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.save(model, tmp_path / "batch.onnx")
    built = mcugen.build(tmp_path / "batch.onnx", calib="random", out=tmp_path)
    assert built.manifest["inputs"][0]["shape"] == [1, 4, 4] and built.manifest["outputs"][0]["shape"] == [3]
    assert any("becomes 1" in note for note in built.manifest["notes"])


def test_random_data_is_in_the_manifest(tmp_path: Path) -> None:
    built = mcugen.build(zoo.small(tmp_path), calib="random", out=tmp_path)
    assert any(note.startswith("RANDOM DATA") for note in built.manifest["notes"])


def test_a_file_is_read_before_its_name_is_judged(tmp_path: Path, x: Array) -> None:
    zoo.small(tmp_path).rename(tmp_path / "int.onnx")
    with pytest.raises(UsageError, match="-n NAME"):
        mcugen.build(tmp_path / "int.onnx", calib=x, out=tmp_path)
    with pytest.raises(UsageError, match="no such file"):
        mcugen.build(tmp_path / "double.onnx", calib=x, out=tmp_path)
    assert mcugen.build(tmp_path / "int.onnx", calib=x, out=tmp_path, name="integer").path.name == "integer"


def test_percentiles_cut_outliers(tmp_path: Path, x: Array) -> None:
    outlier = x.copy()
    outlier[0, 0, 0, 0] = 1000.0
    model = zoo.small(tmp_path)
    whole = mcugen.build(model, calib=outlier, out=tmp_path).manifest["inputs"][0]["scale"]
    cut = mcugen.build(model, calib=outlier, out=tmp_path, percentile=99.0).manifest["inputs"][0]["scale"]
    assert cut < whole / 10


def test_debug_layers_keep_every_output(two: tuple[Path, dict[str, Array]], tmp_path: Path) -> None:
    model, samples = two
    built = mcugen.build(model, calib=samples, out=tmp_path, debug_layers=True)
    places = sorted((b["offset"], b["offset"] + b["size"]) for b in built.manifest["buffers"])
    assert all(end <= start for (_, end), (start, _) in zip(places, places[1:], strict=False))
    assert built.arena >= sum(b["size"] for b in built.manifest["buffers"])
    assert verify(built.path).ok


def test_progress_names_every_stage(tmp_path: Path, x: Array) -> None:
    seen: dict[str, int | None] = {}

    def progress(chunks: Iterable[Any], title: str) -> Iterator[Any]:
        seen[title] = len(chunks) if hasattr(chunks, "__len__") else None
        yield from chunks

    settings = Settings(calib=x, percentile=99.0)
    compile_model(zoo.small(tmp_path), load_board("host"), settings, progress)
    assert seen == {
        "reading the model": 1,
        "calibrating": 24,
        "counting values": 24,
        "refining": 1,
        "placing the buffers": 1,
    }
