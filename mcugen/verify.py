"""Prove that the generated C computes what the compiler promised: byte by byte, every layer."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mcugen.bench.emulator import EmulationResult, run_firmware
from mcugen.bench.firmware import Vectors, build_firmware
from mcugen.boards import Board, load_board
from mcugen.calibrate.data import DataSet, InputSpec, load_data
from mcugen.errors import Fault, FitError, UsageError, VerifyError
from mcugen.execute import run_samples
from mcugen.graph_file import load_graph
from mcugen.ir import Array, DType, Graph
from mcugen.manifest import load_manifest
from mcugen.metrics import is_index
from mcugen.original import IntegerComparison, Original, OriginalReport, load_original
from mcugen.progress import Progress, Samples, silent, stage
from mcugen.score import Noise, class_numbers, share, top1
from mcugen.simulate import HostLibrary, as_bytes, dequantize_port
from mcugen.trust import CHANGED, check_ports, edited_files, open_library

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
    sqnr: float | None  # of the outputs, dB; None if all are indices
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
    original: OriginalReport | None = None
    emulation: EmulationResult | None = None
    emulated_vectors: int = 0

    @property
    def ok(self) -> bool:
        host = self.output_different == 0 and all(layer.different == 0 for layer in self.layers)
        original = self.original is None or self.original.different == 0
        return host and original and (self.emulation is None or self.emulation.ok)

    def check(self) -> None:
        """Raises VerifyError that names the first layer that differs, on the host and on the board."""
        if self.ok:
            return
        faults = []
        changed = [note for note in self.notes if note.endswith(CHANGED)]
        fix = (
            "build the library again"
            if changed
            else "report it with the model and the manifest: a bug of mcugen"
        )
        because = f" ({'; '.join(changed)})" if changed else ""
        first = next((layer for layer in self.layers if layer.different), None)
        if first:
            where = f'layer {first.index} "{first.name}" ({first.op})'
            why = f"the first that differs, in {first.different:,} of {first.compared:,} bytes{because}"
            faults.append(Fault(where, why, fix))
        elif self.output_different:
            why = f"{self.output_different:,} of {self.output_bytes:,} bytes differ{because}"
            faults.append(Fault("outputs", why, fix))
        if self.original and self.original.different:
            o = self.original
            why = f"{o.different:,} of {o.compared:,} bytes differ from the model file's tensors{because}"
            faults.append(Fault(o.first, why, fix))
        if self.emulation and not self.emulation.ok:
            e = self.emulation
            layers = sorted({layer for _, layer in e.wrong_layers})
            where = f', first in layer {layers[0]} "{self.layers[layers[0]].name}"' if layers else ""
            faults.append(Fault(e.machine, f"{e.wrong_bytes:,} output bytes differ{where}{because}", fix))
        raise VerifyError(f"{self.name}: the C differs from the integer reference", faults)


@dataclass(frozen=True, eq=False)
class SampleSet:
    """int8 samples [N, *shape] by input, the real values they stand for, labels, where they come from, notes."""

    ints: list[Array]
    reals: list[Array]
    labels: Array | None
    source: str
    notes: list[str]

    def __len__(self) -> int:
        return len(self.ints[0])


@dataclass(eq=False)
class Totals:
    """What a comparison adds up, chunk by chunk: bytes by layer and of all outputs, noise; and the outputs of C,
    reference and float model, a list by port for each chunk."""

    wrong: list[int]
    compared: list[int]
    noise: list[Noise | None]
    out_wrong: int = 0
    out_compared: int = 0
    out_noise: Noise = field(default_factory=Noise)
    ours: list[list[Array]] = field(default_factory=list)
    reference: list[list[Array]] = field(default_factory=list)
    floats: list[list[Array]] = field(default_factory=list)


_QUANTIZED_AT_ONCE = 64  # samples: the temporary float arrays are several times as large


def random_vectors(
    ports: Sequence[Mapping[str, Any]], count: int = RANDOM_VECTORS, seed: int = 0
) -> list[Array]:
    """Seeded random samples, then one all-min and one all-max (of real numbers: normal, and -4 and 4):
    [count + 2, *shape] per input."""
    rng = np.random.default_rng(seed)
    arrays = []
    for port in ports:
        shape = (count + 2, *port["shape"])
        if port["dtype"] == "float32":
            values, low, high = rng.standard_normal(shape).astype(np.float32), -4, 4
        else:
            low, high = np.iinfo(port["dtype"]).min, np.iinfo(port["dtype"]).max
            values = rng.integers(low, high + 1, shape, dtype=np.int64).astype(port["dtype"])
        values[-2], values[-1] = low, high
        arrays.append(values)
    return arrays


def load_samples(ports: Sequence[Mapping[str, Any]], data: Any) -> DataSet:
    """Real samples for the inputs of a library, and labels. Raises UsageError as `load_data`."""
    specs = [InputSpec(p["name"], tuple(p["shape"]), DType.FLOAT32, True) for p in ports]
    return load_data(data, specs, purpose="test")


def _samples(library: HostLibrary, data: Any) -> SampleSet:
    ports = library.inputs
    if data is None or (isinstance(data, str) and data == "random"):
        ints = random_vectors(ports)
        reals = [dequantize_port(a, p) for a, p in zip(ints, ports, strict=True)]
        return SampleSet(
            ints, reals, None, f"{RANDOM_VECTORS} seeded random vectors, all-min and all-max", []
        )
    loaded = load_samples(ports, data)
    reals = [loaded.arrays[p["name"]] for p in ports]
    few = [
        library.quantize_inputs({n: r[i : i + _QUANTIZED_AT_ONCE] for n, r in loaded.arrays.items()})
        for i in range(0, loaded.count, _QUANTIZED_AT_ONCE)
    ]
    ints = [np.concatenate(parts) for parts in zip(*few, strict=True)]
    return SampleSet(ints, reals, loaded.labels, loaded.description, list(loaded.notes))


def _answers(outputs: Sequence[Sequence[Array]], port: Mapping[str, Any]) -> Array | None:
    """Each sample's class: where the largest of its first output lies, or the index that the output is."""
    values = np.concatenate([chunk[0] for chunk in outputs])
    if not is_index(port):
        return top1(values)
    return values.reshape(-1) if np.prod(port["shape"]) == 1 else None


def compare(
    library: HostLibrary,
    graph: Graph,
    samples: SampleSet,
    model: Original | None,
    integers: IntegerComparison | None,
    progress: Progress,
) -> Totals:
    """Run C, integer reference and, if it is there, the model file on all samples, in chunks."""
    count = len(library.layers)
    totals = Totals(
        [0] * count, [0] * count, [Noise() if model and not integers else None for _ in range(count)]
    )
    feeds = dict(zip(graph.inputs, samples.ints, strict=True))
    start = 0
    library.reset()
    for chunk in progress(Samples(run_samples(graph, feeds), len(samples)), "comparing"):
        size = len(chunk[graph.outputs[0]])
        part = slice(start, start + size)
        start += size
        results, traces = library.run_layers([a[part] for a in samples.ints])
        for i, entry in enumerate(library.layers):
            difference = traces[i] != as_bytes(chunk[entry["output"]["tensor"]])
            totals.wrong[i] += int(difference.sum())
            totals.compared[i] += difference.size
        for result, name in zip(results, graph.outputs, strict=True):
            difference = as_bytes(result) != as_bytes(chunk[name])
            totals.out_wrong += int(difference.sum())
            totals.out_compared += difference.size
        totals.ours.append(results)
        totals.reference.append([chunk[name] for name in graph.outputs])
        if integers:
            integers.add({n: feed[part] for n, feed in feeds.items()}, traces)
        elif model:
            _compare_float(library, graph, chunk, results, model, [r[part] for r in samples.reals], totals)
    return totals


def _compare_float(
    library: HostLibrary,
    graph: Graph,
    chunk: Mapping[str, Array],
    results: Sequence[Array],
    model: Original,
    reals: Sequence[Array],
    totals: Totals,
) -> None:
    """Noise of every layer against our float graph, of the outputs against the model file."""
    float_graph = model.graph
    start, ours = 0, []
    equalized = (library.manifest.get("refined") or {}).get("equalized", {})
    feeds = dict(zip(float_graph.inputs, reals, strict=True))
    for floats in run_samples(float_graph, feeds, model.states, exact=False):
        part = slice(start, start + len(next(iter(floats.values()))))
        start = part.stop
        ours.append({n: floats[n] for n in float_graph.outputs})
        for i, entry in enumerate(library.layers):
            name, noise = entry["output"]["tensor"], totals.noise[i]
            exact = floats.get(name)
            ttype = graph.type(name)
            if exact is None or noise is None or ttype.dtype is DType.INT32:
                totals.noise[i] = None
                continue
            tensor = graph.tensors[name]
            if name in equalized:
                exact = exact / np.array(equalized[name])
            if tensor.channels:
                exact = exact[..., list(tensor.channels.kept)]
            q = chunk[name][part].astype(np.float64)
            noise.add(exact, (q - ttype.zero_point) * ttype.scale if ttype.quant else q)
    exact_outputs = model.outputs(reals, ours)
    totals.floats.append(exact_outputs)
    for exact, result, port in zip(exact_outputs, results, library.outputs, strict=True):
        if is_index(port):
            continue  # they have no noise
        real = dequantize_port(result, port)
        totals.out_noise.add(exact.reshape(len(exact), -1), real.reshape(len(real), -1))


def target_board(manifest: Mapping[str, Any], wanted: str | None) -> Board:
    """The board to emulate. The manifest knows its own only by name, so that a user's own file must be given."""
    name = manifest["target"]["board"]
    own = manifest["target"]
    try:
        board = load_board(wanted or name)
    except UsageError:
        if wanted:
            raise
        why = f"the library was built for {name!r}, which is no board of mcugen's own"
        fix = f"give the board's file: --board {name}.toml"
        raise UsageError("which board is to be emulated?", [Fault("--board", why, fix)]) from None
    if not wanted and (board.cpu, list(board.flags)) != (own["cpu"], own["flags"]):
        why = f"the library was built for another board of the name {name!r} than mcugen's own"
        fix = f"give the board's file: --board {name}.toml"
        raise UsageError("which board is to be emulated?", [Fault("--board", why, fix)])
    if not board.machines:
        fix = "name a board with an emulator: --board cortex-m4, or another from `mcugen boards`"
        raise UsageError(
            f"{board.name} cannot be emulated", [Fault(board.name, "there is no emulator for it", fix)]
        )
    return board


def emulate(
    library: HostLibrary, graph: Graph, board: Board, ints: list[Array], *, layers: bool = False
) -> EmulationResult:
    """Run the first vectors as firmware on the board's emulated machine, every layer compared; as many of
    EMULATED_VECTORS as the machine has room for, beside the library.

    Raises ToolError, FitError, UsageError as the firmware's build and run do.
    """
    count = min(EMULATED_VECTORS, len(ints[0]))
    while True:
        try:
            return _emulate(library, graph, board, [a[:count] for a in ints], layers)
        except FitError:
            if count == 1:
                raise
            count //= 2


def _emulate(
    library: HostLibrary, graph: Graph, board: Board, few: list[Array], layers: bool
) -> EmulationResult:
    chunks = list(run_samples(graph, dict(zip(graph.inputs, few, strict=True))))
    values = {n: np.concatenate([c[n] for c in chunks]) for n in chunks[0]}
    expected = [values[n] for n in graph.outputs]
    outputs = [values[entry["output"]["tensor"]] for entry in library.layers]
    vectors = Vectors.from_arrays(few, expected, outputs)
    with tempfile.TemporaryDirectory(prefix="mcugen-") as work:
        image = build_firmware(library.folder, board, vectors, Path(work))
        return run_firmware(image, board, layers=layers)


def _scores(
    library: HostLibrary, samples: SampleSet, totals: Totals
) -> tuple[float | None, FloatReport | None, list[str]]:
    """Accuracy of the C, the C beside the float model if that ran, and notes on labels that are not scored."""
    first = library.outputs[0]
    only_index = is_index(first) and np.prod(first["shape"]) == 1  # then any number is a class
    classes, notes = class_numbers(samples.labels, len(samples), [1 << 31] if only_index else first["shape"])
    ours = _answers(totals.ours, first)
    accuracy = share(ours, classes)
    if not totals.floats:
        return accuracy, None, notes
    theirs = _answers(totals.floats, first)
    only_indices = all(map(is_index, library.outputs))
    sqnr = None if only_indices else totals.out_noise.ratio
    return accuracy, FloatReport(share(ours, theirs), sqnr, accuracy, share(theirs, classes)), notes


def verify(
    folder: str | Path,
    *,
    data: Any = None,
    model: str | Path | None = None,
    on_board: bool = False,
    board: str | Path | None = None,
    progress: Progress = silent,
) -> Report:
    """Compare the C with the integer reference recomputed from <name>.graph.npz, and, if asked, with the model file
    and with firmware on the emulated board.

    data: what `--data` takes, or from Python what `build` takes as calib. Raises McugenError's subclasses, among
    them VerifyError for a folder of which files are missing; a difference is a result: see Report.ok.
    """
    if board is not None and not on_board:
        raise UsageError(
            "--board is for --emulate", [Fault("--board", "nothing is emulated", "add --emulate")]
        )
    manifest = load_manifest(Path(folder))
    target = target_board(manifest, str(board) if board is not None else None) if on_board else None
    edited = edited_files(Path(folder), manifest)
    with stage(progress, "compiling for this computer"):
        library = open_library(Path(folder), manifest, edited)
    graph = load_graph(library.folder / f"{manifest['name']}.graph.npz")
    check_ports(library, graph)
    samples = _samples(library, data)
    original = load_original(manifest, Path(model)) if model is not None else None
    integers = None
    if original is not None and original.model.quantized:
        integers = IntegerComparison(original, graph, library.layers)
    totals = compare(library, graph, samples, original, integers, progress)
    accuracy, float_report, notes = _scores(library, samples, totals)
    emulation = None
    if target is not None:
        with stage(progress, f"running firmware for {target.name} in the emulator"):
            emulation = emulate(library, graph, target, samples.ints)
    ratios = [noise.ratio if noise else None for noise in totals.noise]
    return Report(
        manifest["name"],
        len(samples),
        samples.source,
        tuple(
            LayerReport(e["index"], e["name"], e["op"], totals.compared[i], totals.wrong[i], ratios[i])
            for i, e in enumerate(library.layers)
        ),
        totals.out_compared,
        totals.out_wrong,
        accuracy,
        (*edited, *samples.notes, *notes),
        float_report,
        integers.report() if integers else None,
        emulation,
        len(emulation.instructions) if emulation else 0,
    )
