"""Read me first: the way from a model file to a folder of C, as plain calls with a check between two of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcugen.boards import Board, load_board
from mcugen.calibrate.data import DataSet, InputSpec, load_data, random_data
from mcugen.calibrate.ranges import Progress, calibrate, read_ranges
from mcugen.check import check_graph
from mcugen.errors import Fault, UsageError
from mcugen.fit import check_fit
from mcugen.graph_file import save_graph
from mcugen.ir import Graph
from mcugen.manifest import describe, user_shape
from mcugen.naming import c_name
from mcugen.normalise import normalise
from mcugen.quantize.channels import drop_channels
from mcugen.quantize.ptq import Ranges, quantize
from mcugen.read.float_check import check_import
from mcugen.read.onnx_import import ImportedModel, import_onnx
from mcugen.render import Library, render
from mcugen.schedule import schedule
from mcugen.select import select
from mcugen.storage import assign
from mcugen.write import write_folder

Log = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """What the user chose besides the model and the board."""

    calib: Any = None
    name: str | None = None
    percentile: float | None = None
    overlap: bool = True
    seed: int = 0
    command: str = ""


@dataclass(frozen=True)
class Compiled:
    """A model compiled for one board, before anything is written."""

    library: Library
    float_graph: Graph
    ranges: Ranges
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Build:
    """A written library: its folder and its manifest."""

    path: Path
    manifest: dict[str, Any]

    @property
    def arena(self) -> int:
        """Bytes of RAM for activations and scratch."""
        return int(self.manifest["memory"]["arena"])


def input_specs(graph: Graph) -> list[InputSpec]:
    """What calibration data must look like."""
    specs = []
    for name in graph.inputs:
        tensor = graph.tensors[name]
        shape = tuple(user_shape(tensor.shape))
        specs.append(
            InputSpec(tensor.source or name, shape, tensor.type.dtype, len(shape) < len(tensor.shape))
        )
    return specs


def read(path: Path) -> tuple[ImportedModel, Graph]:
    """The model file and its normalised float graph, compared with onnxruntime's results on the original file."""
    imported = import_onnx(path)
    graph = normalise(imported.graph)
    check_import(imported, graph)
    return imported, graph


def find_ranges(graph: Graph, settings: Settings, progress: Progress, notes: list[str]) -> Ranges:
    """Ranges of all activations, from calibration data or stored by an earlier build."""
    calib = settings.calib
    if calib is None:
        raise UsageError(
            "a float model needs calibration data",
            [
                Fault(
                    "--calib",
                    "not given",
                    "--calib data.npz with some hundred real samples (or --calib random for a first try)",
                )
            ],
        )
    if settings.percentile is not None and not 50.0 < settings.percentile <= 100.0:
        raise UsageError(
            "--percentile lies above 50 and at most at 100", [Fault("--percentile", "out of range")]
        )
    if isinstance(calib, str | Path) and str(calib).endswith(".json"):
        return read_ranges(Path(calib), graph)
    if isinstance(calib, str) and calib == "random":
        data: DataSet = random_data(input_specs(graph), 32, settings.seed)
    else:
        data = load_data(calib, input_specs(graph), purpose="calibration")
    notes += data.notes
    samples = {name: data.arrays[graph.tensors[name].source or name] for name in graph.inputs}
    return calibrate(graph, samples, settings.percentile, progress)


def compile_graph(graph: Graph, ranges: Ranges) -> Graph:
    """The final integer graph, in the order in which it will run."""
    integer = check_graph(quantize(graph, ranges), "quantization")
    integer = check_graph(drop_channels(integer), "channel elimination")
    return check_graph(schedule(integer), "scheduling")


def lay_out(
    graph: Graph, board: Board, name: str, model_file: str, sha256: str, command: str, overlap: bool = True
) -> Library:
    """Kernels chosen and memory placed for an integer graph."""
    layers = select(graph, board)
    storage = assign(graph, layers, overlap)
    return Library(name, graph, board, layers, storage, model_file, sha256, command)


def compile_model(
    path: Path, board: Board, settings: Settings, progress: Progress = lambda chunks, title: chunks
) -> Compiled:
    """Everything up to the finished library, in memory. Raises what its stages raise."""
    name = c_name(settings.name or path.stem)
    imported, graph = read(path)
    notes = list(imported.notes)
    ranges = find_ranges(graph, settings, progress, notes)
    integer = compile_graph(graph, ranges)
    command = settings.command or f"mcugen build {path.name} --board {board.name}"
    library = lay_out(integer, board, name, path.name, imported.file.sha256, command, settings.overlap)
    return Compiled(library, graph, ranges, tuple(notes))


def write(compiled: Compiled, out: Path) -> Build:
    """Render and write the library as one folder out/NAME, whole or not at all. Raises FitError, UsageError."""
    library = compiled.library
    texts, tables = render(library)
    check_fit(library, tables)
    files = {path: text.encode() for path, text in texts.items()}
    manifest: dict[str, Any] = {}

    def finish(folder: Path) -> None:
        save_graph(library.graph, folder / f"{library.name}.graph.npz")
        for path in (f"{library.name}.graph.npz",):
            files[path] = (folder / path).read_bytes()
        notes = list(compiled.notes)
        manifest.update(describe(library, tables, files, compiled.float_graph, compiled.ranges, notes))

    folder = write_folder(out, library.name, files, finish, manifest)
    return Build(folder, manifest)


def build(
    model: str | Path,
    *,
    calib: Any = None,
    board: str | Board = "cortex-m4",
    out: str | Path = "out",
    name: str | None = None,
    percentile: float | None = None,
    progress: Progress = lambda chunks, title: chunks,
    command: str = "",
) -> Build:
    """Compile an ONNX file into the folder out/NAME and return it with its manifest.

    calib: what `--calib` takes, or from Python arrays, dicts by input name or iterables of samples. Raises
    McugenError's subclasses for everything that a user can mend.
    """
    target = load_board(board) if isinstance(board, str) else board
    settings = Settings(calib=calib, name=name, percentile=percentile, command=command)
    compiled = compile_model(Path(model), target, settings, progress)
    return write(compiled, Path(out))


def ratio(manifest: dict[str, Any]) -> float:
    """How many times smaller the integer weights are."""
    return manifest["float_bytes"] / manifest["int8_bytes"] if manifest["int8_bytes"] else math.inf
