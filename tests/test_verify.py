"""verify: what it compares, scores and says; what the emulator adds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zoo
from emulated import need

from mcugen import build
from mcugen.bench.firmware import build_firmware
from mcugen.errors import FitError, UsageError, VerifyError
from mcugen.execute import outputs
from mcugen.graph_file import load_graph
from mcugen.ir import Array
from mcugen.simulate import HostLibrary
from mcugen.verify import random_vectors, verify


@pytest.fixture(scope="module")
def x() -> Array:
    return np.random.default_rng(5).standard_normal((40, 1, 4, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, x: Array) -> Path:
    """small.onnx and its library in out/small."""
    folder = tmp_path_factory.mktemp("verify")
    build(zoo.small(folder), calib=x, out=folder / "out")
    return folder


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """every_kernel.onnx (two inputs, three outputs) and its library in out/every_kernel."""
    folder = tmp_path_factory.mktemp("every")
    build(zoo.every_kernel(folder), calib="random", out=folder / "out")
    return folder


# --- what is compared ---


def test_random_vectors_reach_both_ends() -> None:
    (values,) = random_vectors([{"dtype": "int8", "shape": [3, 2]}], 5)
    assert values.shape == (7, 3, 2) and values.dtype == np.int8
    assert (values[-2] == -128).all() and (values[-1] == 127).all()
    assert np.array_equal(values, random_vectors([{"dtype": "int8", "shape": [3, 2]}], 5)[0])
    assert not np.array_equal(values, random_vectors([{"dtype": "int8", "shape": [3, 2]}], 5, seed=1)[0])


def test_every_byte_of_every_layer(every: Path) -> None:
    report = verify(every / "out/every_kernel")
    assert report.ok and report.vectors == 34
    library = HostLibrary(every / "out/every_kernel")
    assert [layer.compared for layer in report.layers] == [34 * e["output"]["bytes"] for e in library.layers]
    assert report.output_bytes == 34 * sum(port["bytes"] for port in library.outputs)
    report.check()


def test_the_c_computes_the_stored_graph(folder: Path) -> None:
    """The comparison that verify makes, made by hand."""
    library = HostLibrary(folder / "out/small")
    graph = load_graph(folder / "out/small/small.graph.npz")
    (q,) = random_vectors(library.inputs)
    (expected,) = outputs(graph, {graph.inputs[0]: q}).values()
    assert np.array_equal(library.run(q), expected.reshape(len(q), 3))


def test_a_wrong_layer_is_found_and_named(every: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = HostLibrary.run_layers

    def wrong(self: HostLibrary, x: Any) -> Any:
        results, traces = whole(self, x)
        traces = [trace.copy() for trace in traces]
        traces[4][1, 0] ^= 1
        return results, traces

    monkeypatch.setattr(HostLibrary, "run_layers", wrong)
    report = verify(every / "out/every_kernel")
    assert not report.ok and [layer.different for layer in report.layers if layer.different] == [1]
    with pytest.raises(VerifyError, match=f'layer 4 "{report.layers[4].name}"') as raised:
        report.check()
    assert "a bug of mcugen" in str(raised.value)


def test_wrong_outputs_are_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = HostLibrary.run_layers

    def wrong(self: HostLibrary, x: Any) -> Any:
        results, traces = whole(self, x)
        return [result ^ 1 for result in results], traces

    monkeypatch.setattr(HostLibrary, "run_layers", wrong)
    report = verify(folder / "out/small")
    assert report.output_different == report.output_bytes
    with pytest.raises(VerifyError, match="outputs: 102 of 102 bytes differ"):
        report.check()


# --- data and scores ---


@pytest.mark.parametrize("form", ["array", "dict", "generator", "file"])
def test_forms_of_data(folder: Path, tmp_path: Path, x: Array, form: str) -> None:
    np.savez(tmp_path / "x.npz", x=x)
    forms: dict[str, Any] = {
        "array": x,
        "dict": {"x": x},
        "generator": ([sample] for sample in x),
        "file": tmp_path / "x.npz",
    }
    assert verify(folder / "out/small", data=forms[form]).vectors == 40


def test_scores_against_the_float_model(folder: Path, x: Array) -> None:
    classes = HostLibrary(folder / "out/small").run_float(x).argmax(axis=1)
    labels = classes.copy()
    labels[:10] = (labels[:10] + 1) % 3
    report = verify(folder / "out/small", data={"x": x, "y": labels}, model=folder / "small.onnx")
    assert report.accuracy == 0.75
    assert report.float_report is not None and report.float_report.accuracy == 0.75
    assert report.float_report.agreement is not None and report.float_report.agreement >= 0.95
    assert report.float_report.sqnr > 30
    assert all(layer.sqnr is not None and layer.sqnr > 30 for layer in report.layers)


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["a"] * 40),
        np.arange(40),
        np.full(40, -1),
        np.linspace(0, 2, 40),
        np.full(40, np.nan),
        np.zeros((40, 5), int),
    ],
    ids=["text", "too many", "negative", "fractions", "nan", "rows"],
)
def test_labels_that_are_no_classes_are_a_note(folder: Path, x: Array, labels: Array) -> None:
    report = verify(folder / "out/small", data={"x": x, "y": labels})
    assert report.ok and report.accuracy is None
    assert any("labels are not scored" in note for note in report.notes)


def test_one_hot_labels(folder: Path, x: Array) -> None:
    classes = HostLibrary(folder / "out/small").run_float(x).argmax(axis=1)
    report = verify(folder / "out/small", data={"x": x, "y": np.eye(3)[classes]})
    assert report.accuracy == 1.0


def test_progress_counts_all_samples(folder: Path, x: Array) -> None:
    seen: dict[str, tuple[int | None, int]] = {}

    def progress(chunks: Iterable[Any], title: str) -> Iterator[Any]:
        total = len(chunks) if hasattr(chunks, "__len__") else None
        count = 0
        for chunk in chunks:
            yield chunk
            count += len(next(iter(chunk.values()))) if chunk else 1
        seen[title] = (total, count)

    verify(folder / "out/small", data=x, progress=progress)
    assert seen == {"compiling for this computer": (1, 1), "comparing": (40, 40)}


def test_chunks_make_no_difference(folder: Path, x: Array, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = verify(folder / "out/small", data=x, model=folder / "small.onnx")
    monkeypatch.setattr("mcugen.execute.CHUNK_BYTES", 1)
    single = verify(folder / "out/small", data=x, model=folder / "small.onnx")
    assert whole.float_report and single.float_report
    assert single.float_report.sqnr == pytest.approx(whole.float_report.sqnr)
    assert [e.compared for e in single.layers] == [e.compared for e in whole.layers]
    assert [e.sqnr for e in single.layers] == pytest.approx([e.sqnr for e in whole.layers])


# --- boards ---


def test_as_many_vectors_as_the_machine_holds(
    folder: Path, x: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    need("cortex-m4")
    whole, tried = build_firmware, []

    def small(library: Path, board: Any, vectors: Any, out: Path) -> Any:
        tried.append(len(vectors))
        if len(vectors) > most:
            raise FitError("no room")
        return whole(library, board, vectors, out)

    monkeypatch.setattr("mcugen.verify.build_firmware", small)
    most = 3
    report = verify(folder / "out/small", data=x, on_board=True)
    assert report.ok and report.emulated_vectors == 2 and tried == [8, 4, 2]
    most = 0
    with pytest.raises(FitError):
        verify(folder / "out/small", data=x[:1], on_board=True)


@pytest.fixture
def own_board(repository: Path, tmp_path: Path) -> Path:
    text = (repository / "boards/nucleo-f446re.toml").read_text()
    (tmp_path / "mine.toml").write_text(text.replace('name = "nucleo-f446re"', 'name = "mine"'))
    return tmp_path / "mine.toml"


def test_a_board_file_must_be_given_again(folder: Path, x: Array, tmp_path: Path, own_board: Path) -> None:
    built = build(folder / "small.onnx", calib=x, board=own_board, out=tmp_path)
    assert built.manifest["target"]["board"] == "mine"
    with pytest.raises(UsageError, match="--board mine.toml"):
        verify(built.path, on_board=True)
    need("nucleo-f446re")
    report = verify(built.path, on_board=True, board=own_board)
    assert report.ok and report.emulation is not None and report.emulation.machine == "mps2-an386"


def test_a_board_file_with_the_name_of_a_shipped_board(
    folder: Path, x: Array, tmp_path: Path, own_board: Path
) -> None:
    text = own_board.read_text().replace('"mine"', '"nucleo-f446re"')
    own_board.write_text(text.replace('"-mfloat-abi=hard"', '"-mfloat-abi=softfp"'))
    built = build(folder / "small.onnx", calib=x, board=str(own_board), out=tmp_path)
    with pytest.raises(UsageError, match="another board of the name 'nucleo-f446re'"):
        verify(built.path, on_board=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "board", "emulated"),
    [
        ("kws", "nucleo-f446re", True),
        ("sww", "esp32-c3", True),
        ("ic", "nucleo-l4r5zi", False),
        ("vww", "raspberry-pi-pico", False),
        ("ad", "nrf52840-dk", False),
    ],
)
def test_models_on_real_boards(
    models: dict[str, Path], tmp_path: Path, model: str, board: str, emulated: bool
) -> None:
    built = build(models[model], calib="random", board=board, out=tmp_path)
    assert built.manifest["target"]["board"] == board
    if emulated:
        need(board)
    report = verify(built.path, on_board=emulated)
    assert report.ok and report.emulated_vectors == (8 if emulated else 0)
