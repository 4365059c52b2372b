"""evaluate: the three columns against the same figures made by hand, in whichever processes."""

from __future__ import annotations

import json
import pickle
import shutil
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import tflite_model
import zoo
from onnx_net import Net
from tflm import TensorSpec

import mcugen
from mcugen import cli
from mcugen.errors import UsageError, VerifyError
from mcugen.evaluation import Evaluation, evaluate
from mcugen.evaluation_work import Place, open_place
from mcugen.ir import Array
from mcugen.metrics import auc
from mcugen.simulate import HostLibrary
from mcugen.verify import verify


@pytest.fixture(scope="module")
def x() -> Array:
    return np.random.default_rng(5).standard_normal((40, 1, 4, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def y(folder: Path, x: Array) -> Array:
    """Class numbers, of which the C names three quarters."""
    labels: Array = HostLibrary(folder / "out/small").run_float(x).argmax(axis=1)
    labels[:10] = (labels[:10] + 1) % 3
    return labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, x: Array) -> Path:
    """small.onnx (three classes) and its library in out/small."""
    folder = tmp_path_factory.mktemp("evaluate")
    mcugen.build(zoo.small(folder), calib=x, out=folder / "out")
    return folder


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """every_kernel.onnx (two inputs, three outputs) and its library in out/every_kernel."""
    folder = tmp_path_factory.mktemp("every")
    mcugen.build(zoo.every_kernel(folder), calib="random", out=folder / "out")
    return folder


@pytest.fixture
def small_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcugen.evaluation._SAMPLES_AT_ONCE", 7)


def original(model: Path, x: Array) -> Array:
    """What onnxruntime makes of the model file."""
    session = onnxruntime.InferenceSession(model)
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: sample[np.newaxis]})[0] for sample in x])


def regression(folder: Path, outputs: int = 1) -> Path:
    """A model of four inputs and real outputs."""
    net = Net(seed=4)
    model = net.model(net.dense(net.add("Relu", net.dense(net.input(1, 4), 4, 8)), 8, outputs))
    onnx.save(model, folder / "net.onnx")
    return folder / "net.onnx"


# --- figures ---


def test_classes(folder: Path, x: Array, y: Array) -> None:
    found = evaluate(folder / "out/small", data={"x": x, "y": y}, model=folder / "small.onnx")
    real, ours = original(folder / "small.onnx", x), HostLibrary(folder / "out/small").run_float(x)
    assert found.ok and found.samples == 40 and list(found.columns) == ["float", "reference", "C"]
    columns = found.columns
    assert columns["C"].metrics["top-1"] == columns["reference"].metrics["top-1"] == 0.75
    assert columns["float"].metrics == {"top-1": np.mean(real.argmax(axis=1) == y)}
    for name in ("reference", "C"):
        metrics = columns[name].metrics
        assert metrics["agreement"] == np.mean(real.argmax(axis=1) == ours.argmax(axis=1))
        noise = 10 * np.log10((real.astype(float) ** 2).sum() / ((real.astype(float) - ours) ** 2).sum())
        assert metrics["SQNR dB"] == pytest.approx(noise)
        table = np.array(columns[name].confusion)
        assert table.sum(axis=1).tolist() == np.bincount(y, minlength=3).tolist()
        assert table.trace() == 30
    assert found.output_bytes == 120 and found.output_different == 0
    found.check()


def test_layers_are_those_of_verify(folder: Path, x: Array) -> None:
    found = evaluate(folder / "out/small", data=x, model=folder / "small.onnx")
    proof = verify(folder / "out/small", data=x, model=folder / "small.onnx")
    assert found.layers == proof.layers
    assert proof.float_report and proof.float_report.sqnr == found.columns["C"].metrics["SQNR dB"]
    assert set(found.columns["C"].metrics) == {"agreement", "SQNR dB"}  # without labels


def test_without_labels_and_model_only_bytes_are_compared(folder: Path, x: Array) -> None:
    found = evaluate(folder / "out/small", data=x)
    assert found.ok and found.output_bytes == 120 and found.columns["C"].metrics == {}
    assert any("nothing to score by" in note for note in found.notes)


def test_targets_and_scores(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    x = rng.standard_normal((50, 4)).astype(np.float32)
    model = regression(tmp_path)
    library = mcugen.build(model, calib=x, out=tmp_path).path
    ours, real = HostLibrary(library).run_float(x)[:, 0], original(model, x)[:, 0]
    target = real + rng.standard_normal(50)
    found = evaluate(library, data={"in0": x, "y": target}, model=model)
    for name, values in (("float", real), ("reference", ours), ("C", ours)):
        metrics = found.columns[name].metrics
        assert metrics["MSE"] == pytest.approx(np.mean((values - target) ** 2))
        assert metrics["MAE"] == pytest.approx(np.mean(abs(values - target)))
        assert found.columns[name].confusion is None and "agreement" not in metrics
    labels = (target > 0).astype(np.int64)
    metrics = evaluate(library, data={"in0": x, "y": labels}).columns["C"].metrics
    assert metrics == {"AUC": auc(ours, labels)}


def test_an_autoencoder(tmp_path: Path) -> None:
    x = np.random.default_rng(7).standard_normal((50, 4)).astype(np.float32)
    library = mcugen.build(regression(tmp_path, 4), calib=x, out=tmp_path).path
    labels = np.arange(50) % 2
    found = evaluate(library, data={"in0": x, "y": labels}, metrics=["reconstruction-auc"])
    errors = np.mean((HostLibrary(library).run_float(x) - x) ** 2, axis=1)
    assert found.columns["C"].metrics == {"reconstruction-auc": auc(errors, labels)}


def test_indices(tmp_path: Path) -> None:
    net = Net(seed=8)
    scores = net.dense(net.input(1, 4), 4, 6)
    model = net.model(net.add("ArgMax", scores, axis=1, keepdims=0))
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    onnx.save(model, tmp_path / "net.onnx")
    x = np.random.default_rng(8).standard_normal((50, 4)).astype(np.float32)
    library = mcugen.build(tmp_path / "net.onnx", calib=x, out=tmp_path).path
    labels = original(tmp_path / "net.onnx", x)
    found = evaluate(library, data={"in0": x, "y": labels}, model=tmp_path / "net.onnx")
    assert found.columns["float"].metrics == {"top-1": 1.0}
    ours = HostLibrary(library).run_float(x)
    share = float(np.mean(ours.reshape(50) == labels.reshape(50)))
    assert found.columns["C"].metrics == {"top-1": share, "agreement": share}
    assert np.array(found.columns["C"].confusion).sum() == 50


def test_the_reference_on_a_few_samples(folder: Path, x: Array, y: Array, small_tasks: None) -> None:
    """They are spread over the data, which is often sorted by class."""
    order = np.argsort(y, kind="stable")
    data = {"x": x[order], "y": y[order]}
    found = evaluate(folder / "out/small", data=data, reference=12, jobs=1)
    assert found.columns["reference"].samples == 12 and found.columns["C"].samples == 40
    assert found.output_bytes == 36 and found.columns["C"].metrics["top-1"] == 0.75
    table = np.array(found.columns["reference"].confusion).sum(axis=1)
    assert table[y.min()] and table[y.max()]
    none = evaluate(folder / "out/small", data=data, reference=0, jobs=1)
    assert list(none.columns) == ["C"] and none.ok and not none.layers and not none.output_bytes
    assert none.columns["C"] == found.columns["C"]


def test_several_inputs_and_outputs(every: Path, small_tasks: None) -> None:
    rng = np.random.default_rng(9)
    data: dict[str, Any] = {
        "a": rng.standard_normal((30, 3, 9, 7)).astype(np.float32),
        "b": rng.standard_normal((30, 5)).astype(np.float32),
    }
    seen = []

    def metric(outputs: Any, labels: Any, inputs: Any) -> float:
        seen.append({name: array.shape for name, array in outputs.items()})
        assert np.array_equal(inputs["a"], data["a"]) and labels is None
        return float(outputs["turned"].max())

    model = every / "every_kernel.onnx"
    found = evaluate(every / "out/every_kernel", data=data, model=model, metrics=[metric], jobs=1)
    assert seen == 3 * [{"scores": (30, 5), "curve": (30, 3), "turned": (30, 6, 3, 2)}]
    library = HostLibrary(every / "out/every_kernel")
    best = library.run_float(data)["turned"].max()
    assert found.ok and found.columns["C"].metrics["metric"] == float(best)
    proof = verify(every / "out/every_kernel", data=data, model=model)
    assert [layer.sqnr for layer in found.layers] == pytest.approx([layer.sqnr for layer in proof.layers])
    assert proof.float_report
    assert found.columns["C"].metrics["SQNR dB"] == pytest.approx(proof.float_report.sqnr)


# --- differences ---


def test_a_wrong_layer_is_found(folder: Path, x: Array, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = HostLibrary.run_layers

    def wrong(self: HostLibrary, x: Any) -> Any:
        results, traces = whole(self, x)
        traces = [trace.copy() for trace in traces]
        traces[1][0, 0] ^= 1
        return results, traces

    monkeypatch.setattr(HostLibrary, "run_layers", wrong)
    found = evaluate(folder / "out/small", data=x)
    assert not found.ok
    with pytest.raises(VerifyError, match=f'layer 1 "{found.layers[1].name}"'):
        found.check()


def test_a_library_that_was_built_again(tmp_path: Path, x: Array, y: Array) -> None:
    """What is opened once for many tasks is not what lay in the folder before."""
    data = {"x": x, "y": y}
    library = mcugen.build(zoo.small(tmp_path), calib=x, out=tmp_path).path
    before = evaluate(library, data=data)
    mcugen.build(tmp_path / "small.onnx", calib=0.01 * x, out=tmp_path)
    assert evaluate(library, data=data).columns != before.columns


# --- processes ---


def test_processes_give_the_same(folder: Path, x: Array, y: Array, small_tasks: None) -> None:
    arguments: dict[str, Any] = {"data": {"x": x, "y": y}, "model": folder / "small.onnx"}
    here = evaluate(folder / "out/small", **arguments, jobs=1)
    assert evaluate(folder / "out/small", **arguments, jobs=2) == here
    with ThreadPoolExecutor(4) as threads:  # each has an arena of its own
        assert evaluate(folder / "out/small", **arguments, executor=threads) == here
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        assert evaluate(folder / "out/small", **arguments, executor=processes) == here


def test_each_thread_has_an_arena_of_its_own(folder: Path) -> None:
    place, _ = Place.of(folder / "out/small", None, ship=False)
    meet = threading.Barrier(2)

    def library(_: int) -> HostLibrary:
        opened = open_place(place).library
        meet.wait()
        assert open_place(place).library is opened
        return opened

    with ThreadPoolExecutor(2) as threads:
        a, b = threads.map(library, range(2))
    assert a is not b


class Elsewhere(Executor):
    """Another computer: it gets what was pickled, and has neither the library nor the model."""

    def __init__(self, *hidden: Path) -> None:
        self.hidden = hidden

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        sent = pickle.dumps((function, args, kwargs))
        future: Future[Any] = Future()

        def work() -> None:
            run, given, named = pickle.loads(sent)
            try:
                future.set_result(pickle.loads(pickle.dumps(run(*given, **named))))
            except BaseException as error:
                future.set_exception(error)

        for path in self.hidden:
            path.rename(f"{path}.hidden")
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        for path in self.hidden:
            Path(f"{path}.hidden").rename(path)
        return future


def test_an_executor_elsewhere(tmp_path: Path, folder: Path, x: Array, y: Array, small_tasks: None) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    library, model = tmp_path / "copy/out/small", tmp_path / "copy/small.onnx"
    data = {"x": x, "y": y}
    found = evaluate(library, data=data, model=model, executor=Elsewhere(library, model))
    assert found == evaluate(library, data=data, model=model, jobs=1)


def test_progress_counts_samples(folder: Path, x: Array, small_tasks: None) -> None:
    seen: dict[str, tuple[int, int]] = {}

    def progress(chunks: Iterable[Any], title: str) -> Iterator[Any]:
        total, count = len(chunks), 0  # type: ignore[arg-type]
        for chunk in chunks:
            yield chunk
            count += len(next(iter(chunk.values()))) if chunk else 1
        seen[title] = (total, count)

    evaluate(folder / "out/small", data=x, jobs=1, progress=progress)
    assert seen == {"compiling for this computer": (1, 1), "evaluating": (40, 40)}


# --- parts ---


@pytest.fixture
def parts(tmp_path: Path, x: Array, y: Array) -> list[Path]:
    """The samples in three files."""
    paths = [tmp_path / f"part{i}.npz" for i in range(3)]
    for path, i in zip(paths, (0, 10, 25), strict=True):
        end = {0: 10, 10: 25, 25: 40}[i]
        np.savez(path, x=x[i:end], y=y[i:end])
    return paths


def test_parts_are_read_where_they_are_evaluated(
    folder: Path, x: Array, y: Array, parts: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def total(outputs: Array, labels: Array, inputs: Array) -> float:
        return float(inputs[labels == 1].sum())

    model, library = folder / "small.onnx", folder / "out/small"
    whole = evaluate(library, data={"x": x, "y": y}, model=model, metrics=[total])
    assert evaluate(library, data=parts, model=model, metrics=[total], jobs=1).columns == whole.columns
    few = evaluate(library, data=parts, model=model, reference=6, executor=Elsewhere(library, model))
    assert few.columns["reference"].samples == 6 and few.source == "3 parts (40 samples)"
    assert few.columns["C"].confusion == whole.columns["C"].confusion


def test_faults_of_parts_are_reported_together(folder: Path, x: Array, parts: list[Path]) -> None:
    np.savez(parts[0], x=x[:, :, :3])
    parts[2].write_text("no samples")
    with pytest.raises(UsageError) as raised:
        evaluate(folder / "out/small", data=parts, jobs=1)
    assert "part0.npz" in str(raised.value) and "part2.npz" in str(raised.value)
    assert "[1, 4, 4]" in str(raised.value) and "neither .npz nor .npy" in str(raised.value)
    for path in (parts[0], parts[2]):
        np.savez(path, x=x)
    with pytest.raises(UsageError, match="labels: 2 of 3 parts have none"):
        evaluate(folder / "out/small", data=parts, jobs=1)


# --- states ---


def stream(folder: Path) -> Path:
    """The sum of a sample and the one before it."""
    row = TensorSpec((1, 6), "int8", 0.05, 11)
    operators = [
        ("VAR_HANDLE", {"shared_name": "last"}, [], [1]),
        ("READ_VARIABLE", {}, [1], [2]),
        ("ASSIGN_VARIABLE", {}, [1, 0], []),
        ("ADD", {}, [2, 0], [3]),
    ]
    path = folder / "stream.tflite"
    path.write_bytes(tflite_model.model([row, TensorSpec((1,), "resource"), row, row], operators, [0], [3]))
    return path


@pytest.mark.parametrize("reference", [0, 5, 1000])
def test_a_state_makes_the_samples_a_sequence(tmp_path: Path, small_tasks: None, reference: int) -> None:
    library = mcugen.build(stream(tmp_path), out=tmp_path).path
    x = np.random.default_rng(10).uniform(-2, 2, (30, 6)).astype(np.float32)
    wanted = HostLibrary(library).run_float(x)
    data = {"t0": x, "y": wanted}
    found = evaluate(library, data=data, reference=reference, jobs=2)
    assert found.ok and found.columns["C"].metrics == {"MSE": 0.0, "MAE": 0.0}
    assert any("all samples ran in order" in note for note in found.notes)
    for i in range(2):
        np.savez(tmp_path / f"{i}.npz", t0=x, y=wanted)  # each part begins with a reset
    parts = [tmp_path / "0.npz", tmp_path / "1.npz"]
    assert evaluate(library, data=parts, reference=reference, jobs=1).columns["C"].metrics["MSE"] == 0.0


def test_a_quantized_model_file_has_no_float_column(tmp_path: Path) -> None:
    model = stream(tmp_path)
    library = mcugen.build(model, out=tmp_path).path
    found = evaluate(library, data=np.zeros((3, 6), np.float32), model=model)
    assert list(found.columns) == ["reference", "C"]
    assert any("quantized" in note and "mcugen verify" in note for note in found.notes)


# --- the command ---


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path, x: Array, y: Array
) -> Callable[..., tuple[int, str, str]]:
    """Runs `mcugen evaluate out/small` in the folder, where test.npz lies."""
    monkeypatch.chdir(folder)
    np.savez("test.npz", x=x, y=y)

    def run(*words: Any) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mcugen", "evaluate", "out/small", *map(str, words)])
        with pytest.raises(SystemExit) as raised:
            cli.main()
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return int(raised.value.code or 0), out, err

    return run


def test_what_is_printed(command: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = command("--data", "test.npz", "--model", "small.onnx")
    lines = [line.split() for line in out.splitlines()]
    assert code == 0 and not err
    assert ["metric", "float", "reference", "C"] in lines and ["samples", "40", "40", "40"] in lines
    assert any(line[:1] == ["top-1"] and line[-2:] == ["75.00", "%"] for line in lines)
    assert any(line[:2] == ["agreement", "-"] for line in lines)
    assert ["label", "0", "1", "2"] in lines and "SQNR dB  output" in out
    assert "bytes   0 of 120 of the C's outputs differ" in out and "on all 40 samples" in out
    assert out.endswith("verdict equal, byte for byte\n")
    code, out, _ = command("--data", "test.npz", "--no-reference")
    assert code == 0 and "not compared: the reference was left out" in out and "verdict" not in out


def test_many_classes_are_not_printed(
    command: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcugen.report.evaluation.MOST_CLASSES", 2)
    assert "confusion matrix of 3 classes: see --json" in command("--data", "test.npz")[1]


def test_json(command: Callable[..., tuple[int, str, str]], folder: Path) -> None:
    (folder / "scores_of_json.py").write_text("def nothing(outputs, labels):\n    return float('nan')\n")
    code, out, err = command("--data", "test.npz", "--json", "--metric", "scores_of_json:nothing")
    found = json.loads(out)
    assert code == 0 and not err and found["ok"] is True
    assert found["columns"]["C"]["metrics"] == {"top-1": 0.75, "nothing": None}
    assert np.sum(found["columns"]["C"]["confusion"]) == 40 and len(found["layers"]) == 3


def test_all_faults_at_once(command: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = command("--data", "x", "--metric", "F1", "--metric", "nowhere:f", "--jobs", "0")
    assert code == 2 and not out and err.count("fix: ") == 3
    for words in (["--data", "missing.npz"], [], ["--data", "test.npz", "--model", "none.onnx"]):
        code, out, err = command(*words)
        assert code == 2 and not out and err


def test_exit_code_of_a_difference(
    command: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = HostLibrary.run_layers
    monkeypatch.setattr(
        HostLibrary, "run_layers", lambda self, x: ([r ^ 1 for r in whole(self, x)[0]], whole(self, x)[1])
    )
    code, out, err = command("--data", "test.npz")
    assert code == 6 and "verdict DIFFERENT" in out and "outputs: 120 of 120 bytes differ" in err


# --- a cluster ---


@pytest.mark.slow
def test_a_cluster_of_dask(folder: Path, x: Array, y: Array, parts: list[Path], tmp_path: Path) -> None:
    distributed = pytest.importorskip(
        "distributed", reason="dask.distributed is missing: pip install distributed"
    )
    model, library = folder / "small.onnx", folder / "out/small"
    here: Evaluation = evaluate(library, data={"x": x, "y": y}, model=model)
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=2,
            dashboard_address=None,
            local_directory=str(tmp_path),
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        executor = client.get_executor()
        assert evaluate(library, data=parts, model=model, executor=executor).columns == here.columns
        assert evaluate(library, data={"x": x, "y": y}, executor=executor).ok
        with pytest.raises(UsageError, match="no such file"):
            evaluate(library, data=[*parts, "/nowhere.npz"], executor=executor)
