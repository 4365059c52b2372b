"""What a worker of `evaluate` does, in whichever process or computer it is: a library opened once, and tasks run."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcugen.convert.run import Converted
from mcugen.errors import Fault, UsageError
from mcugen.execute import rest
from mcugen.graph_file import load_graph
from mcugen.ir import Array, Graph
from mcugen.manifest import load_manifest, manifest_path
from mcugen.model_file import converted_file
from mcugen.original import Original, load_original
from mcugen.progress import silent
from mcugen.score import Noise
from mcugen.simulate import HostLibrary
from mcugen.trust import edited_files, open_library
from mcugen.verify import SampleSet, Totals, compare, load_samples

_AT_ONCE = 64  # samples: temporary float arrays are several times as large


@dataclass(frozen=True)
class Place:
    """A library and perhaps its model file. `key` is a hash of all that matters, `files` what is needed of them on
    a computer that has neither: the library's files by path, the model's (its name in `model_file`). `converted`:
    what became of a model file of another framework, once for all workers."""

    key: str
    folder: str
    model: str | None
    files: Mapping[str, bytes] | None = None
    model_file: tuple[str, bytes] | None = None
    converted: Converted | None = None

    @staticmethod
    def of(folder: Path, model: Path | None, ship: bool) -> tuple[Place, list[str]]:
        """A folder as it is now, and notes on what was edited in it. Raises UsageError, VerifyError."""
        manifest = load_manifest(folder)
        edited = edited_files(folder, manifest)
        names = [manifest_path(folder).name, *(entry["path"] for entry in manifest["files"])]
        files = {name: (folder / name).read_bytes() for name in names}
        key = hashlib.sha256(repr((str(model), ship)).encode())
        for name, content in files.items():
            key.update(f"{name} {len(content)} ".encode() + content)
        where = None if model is None else str(model.absolute())
        converted = None if model is None else converted_file(model, manifest["model"].get("signature"))
        model_file = None
        if ship and converted is None and model is not None and model.is_file():
            content = model.read_bytes()
            # Otherwise its weights lie in other files, which every computer must have at that place.
            if hashlib.sha256(content).hexdigest() == manifest["model"]["sha256"]:
                model_file = (model.name, content)
        shipped = files if ship else None
        return Place(key.hexdigest(), str(folder.absolute()), where, shipped, model_file, converted), edited


@dataclass(frozen=True, eq=False)
class Opened:
    """A place, ready to run. `original` is a float model; a quantized one has a note instead."""

    library: HostLibrary
    graph: Graph
    original: Original | None
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Task:
    """Samples [n, *shape] by input name, or what --data takes for the worker to read. On the first `checked` of them
    the reference runs, too. `inputs`: whether they are given back."""

    place: Place
    data: Mapping[str, Array] | str
    checked: int
    inputs: bool


@dataclass(frozen=True, eq=False)
class Part:
    """What came of a task. outputs: by column, then by port, [n, *shape] ("reference": [checked, *shape]), float
    as real values, the others as they lie in memory. Bytes and noise by layer, as in verify's Totals."""

    count: int
    checked: int
    outputs: dict[str, list[Array]]
    labels: Array | None
    inputs: dict[str, Array] | None
    notes: tuple[str, ...]
    compared: Sequence[int]
    wrong: Sequence[int]
    noise: Sequence[Noise | None]
    output_bytes: int
    output_different: int


_mine = threading.local()  # a library has one arena: each thread opens its own


def open_place(place: Place) -> Opened:
    """The library, compiled, with its graph and model; the same again for the same place. Raises what opening them
    raises."""
    if getattr(_mine, "key", None) != place.key:
        _mine.key = None
        if place.files is None:
            _mine.opened = _open(Path(place.folder), place.model, place.converted)
        else:
            with tempfile.TemporaryDirectory(prefix="mcugen-") as work:
                _mine.opened = _open(*_unpack(place, place.files, Path(work)), place.converted)
        _mine.key = place.key
    opened: Opened = _mine.opened
    return opened


def _unpack(place: Place, files: Mapping[str, bytes], work: Path) -> tuple[Path, str | None]:
    folder = work / Path(place.folder).name
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    if place.model_file is None:
        return folder, place.model
    name, content = place.model_file
    path = work / "model file" / name
    path.parent.mkdir()
    path.write_bytes(content)
    return folder, str(path)


def _open(folder: Path, model: str | None, converted: Converted | None) -> Opened:
    manifest = load_manifest(folder)
    library = open_library(folder, manifest, edited_files(folder, manifest))
    graph = load_graph(folder / f"{manifest['name']}.graph.npz")
    original = load_original(manifest, Path(model), converted) if model is not None else None
    notes = []
    if original is not None and original.model.quantized:
        original = None
        notes = [
            "the model file is quantized: it has no float column; `mcugen verify --model` compares every layer "
            "with the file's own tensors"
        ]
    return Opened(library, graph, original, tuple(notes))


def run_task(task: Task) -> Part | UsageError:
    """Runs anywhere. A fault of the data is given back, so that those of all parts are reported together."""
    opened = open_place(task.place)
    ports = opened.library.inputs
    if isinstance(task.data, str):
        try:
            loaded = load_samples(ports, task.data)
        except UsageError as error:
            name = Path(task.data).name
            faults = [
                f if name in f.where else Fault(f"{name}: {f.where}".removesuffix(": "), f.why, f.fix)
                for f in error.faults
            ]
            return UsageError(error.headline, faults)
        arrays, labels, notes = loaded.arrays, loaded.labels, tuple(loaded.notes)
    else:
        arrays, labels, notes = dict(task.data), None, ()
    reals = [arrays[port["name"]] for port in ports]
    count = len(reals[0])
    checked = min(task.checked, count)
    opened.library.reset()
    if opened.original is not None:
        opened.original.states = rest(opened.original.graph)
    columns: dict[str, list[list[Array]]] = {"float": [], "reference": [], "C": []}
    totals = _checked(opened, [r[:checked] for r in reals], columns) if checked else Totals([], [], [])
    for start in range(checked, count, _AT_ONCE):
        few = [r[start : start + _AT_ONCE] for r in reals]
        columns["C"].append(_run_c(opened.library, few))
        if opened.original is not None:
            columns["float"].append(opened.original.run(few))
    outputs = {
        name: [np.concatenate(port) for port in zip(*chunks, strict=True)]
        for name, chunks in columns.items()
        if chunks
    }
    return Part(
        count,
        checked,
        outputs,
        labels,
        arrays if task.inputs else None,
        notes,
        totals.compared,
        totals.wrong,
        totals.noise,
        totals.out_compared,
        totals.out_wrong,
    )


def _quantize(library: HostLibrary, reals: Sequence[Array]) -> list[Array]:
    few = [
        library.quantize_inputs([r[i : i + _AT_ONCE] for r in reals])
        for i in range(0, len(reals[0]), _AT_ONCE)
    ]
    return [np.concatenate(port) for port in zip(*few, strict=True)]


def _run_c(library: HostLibrary, reals: Sequence[Array]) -> list[Array]:
    results: list[Array] | Array = library.run(library.quantize_inputs(reals))
    return results if isinstance(results, list) else [results]


def _checked(opened: Opened, reals: list[Array], columns: Mapping[str, list[list[Array]]]) -> Totals:
    """C, reference and model on the same samples, every layer compared, as verify does."""
    samples = SampleSet(_quantize(opened.library, reals), reals, None, "", [])
    totals = compare(opened.library, opened.graph, samples, opened.original, None, silent)
    columns["C"].extend(totals.ours)
    columns["reference"].extend(totals.reference)
    columns["float"].extend(totals.floats)
    return totals
