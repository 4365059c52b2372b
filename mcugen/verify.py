"""Prove that the generated C computes what the compiler promised: byte by byte, every layer."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mcugen.bench.emulator import EmulationResult, run_firmware
from mcugen.bench.firmware import Vectors, build_firmware
from mcugen.boards import Board, load_board
from mcugen.calibrate.data import InputSpec, load_data
from mcugen.errors import Fault, UsageError
from mcugen.execute import run_samples
from mcugen.graph_file import load_graph
from mcugen.ir import Array, DType, Graph
from mcugen.normalise import normalise
from mcugen.read.onnx_import import import_onnx
from mcugen.read.onnx_run import OnnxRunner
from mcugen.simulate import HostLibrary, dequantize_port

RANDOM_VECTORS = 32
EMULATED_VECTORS = 8


@dataclass(frozen=True)
class LayerReport:
    """One layer: how many of its output bytes were compared and how many differ; SQNR against float in dB."""

    index: int
    name: str
    op: str
    compared: int
    different: int
    sqnr: float | None = None


@dataclass(frozen=True)
class FloatReport:
    """The C beside the float model on the same samples; shares from 0 to 1, None where they make no sense."""

    agreement: float | None  # of the largest output's index
    sqnr: float  # of the outputs, dB
    accuracy: float | None  # of the C, if there are labels
    float_accuracy: float | None


@dataclass(frozen=True)
class Report:
    """What verify found. `ok`: not one byte differs, anywhere."""

    name: str
    vectors: int
    source: str
    layers: tuple[LayerReport, ...]
    output_bytes: int
    output_different: int
    accuracy: float | None
    notes: tuple[str, ...]
    float_report: FloatReport | None = None
    emulation: EmulationResult | None = None
    emulated_vectors: int = 0

    @property
    def ok(self) -> bool:
        host = self.output_different == 0 and all(layer.different == 0 for layer in self.layers)
        return host and (self.emulation is None or self.emulation.ok)


def sqnr(reference: Array, values: Array) -> float:
    """Signal to quantization noise ratio in dB; inf if equal."""
    signal = float(np.sum(np.square(reference, dtype=np.float64)))
    noise = float(np.sum(np.square(reference.astype(np.float64) - values)))
    if noise == 0.0:
        return float("inf")
    return 10.0 * float(np.log10(signal / noise)) if signal > 0.0 else float("-inf")


def random_vectors(
    ports: Sequence[Mapping[str, Any]], count: int = RANDOM_VECTORS, seed: int = 0
) -> list[Array]:
    """Seeded random int8 samples, then one all-min and one all-max: [count + 2, *shape] per input."""
    rng = np.random.default_rng(seed)
    arrays = []
    for port in ports:
        values = rng.integers(-128, 128, (count + 2, *port["shape"]), dtype=np.int64).astype(np.int8)
        values[-2], values[-1] = -128, 127
        arrays.append(values)
    return arrays


def _vectors(
    library: HostLibrary, data: Any
) -> tuple[list[Array], list[Array], Array | None, str, list[str]]:
    """int8 samples, the real values they stand for, labels, where they come from, notes."""
    ports = library.inputs
    if data is None:
        ints = random_vectors(ports)
        reals = [dequantize_port(a, p) for a, p in zip(ints, ports, strict=True)]
        return ints, reals, None, f"{RANDOM_VECTORS} seeded random vectors, all-min and all-max", []
    specs = [InputSpec(p["name"], tuple(p["shape"]), DType.FLOAT32, True) for p in ports]
    loaded = load_data(data, specs, purpose="test")
    reals = [loaded.arrays[p["name"]] for p in ports]
    names = [p["name"] for p in ports]
    ints = library.quantize_inputs(dict(zip(names, reals, strict=True)))
    return ints, reals, loaded.labels, loaded.description, list(loaded.notes)


def _edited(folder: Path, manifest: Mapping[str, Any]) -> list[str]:
    """Notes about files that are not as the compiler wrote them."""
    notes = []
    for entry in manifest["files"]:
        path = folder / entry["path"]
        if not path.is_file():
            notes.append(f"{entry['path']} is missing")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != entry["sha256"]:
            notes.append(f"{entry['path']} was changed since it was generated")
    return notes


def _float_graph(manifest: Mapping[str, Any], model: Path) -> tuple[Graph, OnnxRunner]:
    imported = import_onnx(model)
    if imported.file.sha256 != manifest["model"]["sha256"]:
        raise UsageError(
            f"{model.name}: is not the model that this library was built from",
            [Fault(model.name, "its SHA-256 differs from the manifest's", "give the file that was built")],
        )
    return normalise(imported.graph), OnnxRunner(imported.file)


def _count_layers(
    library: HostLibrary, graph: Graph, ints: list[Array]
) -> tuple[list[int], list[int], int, int]:
    """Wrong and compared bytes of every layer, and of the outputs, in chunks of samples."""
    names = [entry["output"]["tensor"] for entry in library.layers]
    wrong, compared, out_wrong, out_compared, start = [0] * len(names), [0] * len(names), 0, 0, 0
    feeds = dict(zip(graph.inputs, ints, strict=True))
    for chunk in run_samples(graph, feeds):
        count = len(chunk[graph.outputs[0]])
        results, traces = library.run_layers([a[start : start + count] for a in ints])
        start += count
        for i, name in enumerate(names):
            difference = traces[i] != chunk[name].reshape(count, -1)
            wrong[i] += int(difference.sum())
            compared[i] += difference.size
        for result, name in zip(results, graph.outputs, strict=True):
            difference = result.reshape(count, -1) != chunk[name].reshape(count, -1)
            out_wrong += int(difference.sum())
            out_compared += difference.size
    return wrong, compared, out_wrong, out_compared


def _layer_sqnr(
    library: HostLibrary, graph: Graph, float_graph: Graph, ints: list[Array], reals: list[Array]
) -> list[float | None]:
    """SQNR of every layer's output over the channels that are left, against the float graph."""
    names = [entry["output"]["tensor"] for entry in library.layers]
    signal, noise = np.zeros(len(names)), np.zeros(len(names))
    exact = run_samples(float_graph, dict(zip(float_graph.inputs, reals, strict=True)))
    start = 0
    for floats in exact:
        count = len(next(iter(floats.values())))
        part = {n: a[start : start + count] for n, a in zip(graph.inputs, ints, strict=True)}
        start += count
        chunks = list(run_samples(graph, part))
        for i, name in enumerate(names):
            if name not in floats:
                signal[i] = np.nan
                continue
            tensor = graph.tensors[name]
            q = np.concatenate([c[name] for c in chunks]).astype(np.float64)
            real = (q - tensor.type.zero_point) * tensor.type.scale
            wanted = floats[name]
            if tensor.channels:
                wanted = wanted[..., list(tensor.channels.kept)]
            signal[i] += float(np.sum(np.square(wanted, dtype=np.float64)))
            noise[i] += float(np.sum(np.square(wanted - real)))
    with np.errstate(all="ignore"):
        ratios = 10.0 * np.log10(signal / noise)
    return [None if np.isnan(r) else float(r) for r in ratios]


def _top1(outputs: Array) -> Array | None:
    """Index of the largest output per sample, where there is more than one."""
    flat = outputs.reshape(len(outputs), -1)
    return flat.argmax(axis=1) if flat.shape[1] > 1 else None


def _share(a: Array | None, b: Array | None) -> float | None:
    if a is None or b is None or a.shape != np.shape(b):
        return None
    return float(np.mean(a == b))


def _labels(labels: Array | None, count: int) -> Array | None:
    """Class numbers [N], if that is what the labels are (one-hot rows are turned into them)."""
    if labels is None or len(labels) != count:
        return None
    if labels.ndim == 2 and labels.shape[1] > 1:
        return np.asarray(labels.argmax(axis=1))
    return labels.reshape(count, -1)[:, 0].astype(np.int64) if labels.size == count else None


def compare_with_float(
    library: HostLibrary,
    runner: OnnxRunner,
    float_graph: Graph,
    ints: list[Array],
    reals: list[Array],
    labels: Array | None,
) -> FloatReport:
    """The C's dequantized outputs beside those of onnxruntime on the original file."""
    shapes = [float_graph.type(n).shape for n in float_graph.inputs]
    names = [i.name for i in runner.session.get_inputs()]
    samples = [
        {n: r[i].reshape(s) for n, r, s in zip(names, reals, shapes, strict=True)}
        for i in range(len(reals[0]))
    ]
    exact = runner.run(samples)
    results, _ = library.run_layers(ints)
    real = [dequantize_port(r, p) for r, p in zip(results, library.outputs, strict=True)]
    a = np.concatenate([e.reshape(len(e), -1) for e in exact], axis=1)
    b = np.concatenate([r.reshape(len(r), -1) for r in real], axis=1)
    ours, theirs = _top1(results[0]), _top1(exact[0])
    classes = _labels(labels, len(ints[0]))
    return FloatReport(_share(ours, theirs), sqnr(a, b), _share(ours, classes), _share(theirs, classes))


def emulate(
    library: HostLibrary, graph: Graph, board: Board, ints: list[Array], *, layers: bool = False
) -> EmulationResult:
    """Run the first vectors as firmware on the board's emulated machine, every layer compared.

    Raises ToolError, FitError, UsageError as the firmware's build and run do.
    """
    few = [a[:EMULATED_VECTORS] for a in ints]
    chunks = list(run_samples(graph, dict(zip(graph.inputs, few, strict=True))))
    values = {n: np.concatenate([c[n] for c in chunks]) for n in chunks[0]}
    expected = [values[n] for n in graph.outputs]
    outputs = [values[entry["output"]["tensor"]] for entry in library.layers]
    vectors = Vectors.from_arrays(few, expected, outputs)
    with tempfile.TemporaryDirectory(prefix="mcugen-") as work:
        image = build_firmware(library.folder, board, vectors, Path(work))
        return run_firmware(image, board, layers=layers)


def verify(
    folder: str | Path,
    *,
    data: Any = None,
    model: str | Path | None = None,
    on_board: bool = False,
    board: str | None = None,
) -> Report:
    """Compare the C with the integer reference recomputed from <name>.graph.npz, and, if asked, with the float model
    and with firmware on the emulated board. Raises McugenError's subclasses; a difference is a result, not an error.
    """
    library = HostLibrary(folder)
    graph = load_graph(library.folder / f"{library.manifest['name']}.graph.npz")
    ints, reals, labels, source, notes = _vectors(library, data)
    notes = [*_edited(library.folder, library.manifest), *notes]
    wrong, compared, out_wrong, out_compared = _count_layers(library, graph, ints)
    classes = _labels(labels, len(ints[0]))
    accuracy = None if classes is None else _share(_top1(library.run_layers(ints)[0][0]), classes)
    float_report, ratios = None, [None] * len(library.layers)  # type: FloatReport | None, list[float | None]
    if model is not None:
        float_graph, runner = _float_graph(library.manifest, Path(model))
        float_report = compare_with_float(library, runner, float_graph, ints, reals, labels)
        ratios = _layer_sqnr(library, graph, float_graph, ints, reals)
    emulation = None
    if on_board:
        target = load_board(board or library.manifest["target"]["board"])
        emulation = emulate(library, graph, target, ints)
    layers = tuple(
        LayerReport(e["index"], e["name"], e["op"], compared[i], wrong[i], ratios[i])
        for i, e in enumerate(library.layers)
    )
    return Report(
        library.manifest["name"],
        len(ints[0]),
        source,
        layers,
        out_compared,
        out_wrong,
        accuracy,
        tuple(notes),
        float_report,
        emulation,
        min(EMULATED_VECTORS, len(ints[0])) if emulation else 0,
    )
