"""Read me first: the way from a model file to a folder of C, as plain calls with a check between two of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mcugen.boards import Board, load_board
from mcugen.calibrate.calibrate import Calibrated, Wishes, calibrate_model
from mcugen.calibrate.data import InputSpec
from mcugen.check import check_graph
from mcugen.fit import check_fit
from mcugen.graph_file import save_graph
from mcugen.ir import Graph
from mcugen.manifest import describe
from mcugen.model_file import Model, read_model
from mcugen.naming import c_name
from mcugen.progress import Progress, silent, stage
from mcugen.quantize.channels import drop_channels
from mcugen.quantize.input_transpose import fuse_input_transpose
from mcugen.quantize.ptq import Ranges, quantize
from mcugen.read.float_check import check_import
from mcugen.render import Library, render, user_shape
from mcugen.schedule import schedule
from mcugen.select import select
from mcugen.storage import assign
from mcugen.write import write_folder


@dataclass(frozen=True)
class Settings:
    """What the user chose besides the model and the board."""

    calib: Any = None
    name: str | None = None
    percentile: float | None = None
    signature: str | None = None
    debug_layers: bool = False
    seed: int = 0
    calibration: str | None = None
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    refine: bool = True
    command: str = ""


@dataclass(frozen=True)
class Compiled:
    """A model compiled for one board, before anything is written."""

    library: Library
    original: Graph  # normalised float graph, or the integer graph that the file holds
    ranges: Ranges
    notes: tuple[str, ...]
    format: str = "onnx"  # of the model file
    signature: str | None = None  # the one that the user chose
    record: Mapping[str, Any] = field(default_factory=dict)  # of calibration, for the manifest


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


def read(path: Path, signature: str | None = None) -> Model:
    """Read a model file; an ONNX file's normalised graph is compared with onnxruntime's results on the original."""
    model = read_model(path, signature)
    if model.onnx is not None:
        check_import(model.onnx, model.graph)
    return model


def find_ranges(graph: Graph, settings: Settings, progress: Progress, notes: list[str]) -> Calibrated:
    """Ranges of all activations, from calibration data or stored by an earlier build, and refinements."""
    wishes = Wishes(
        settings.calib,
        settings.calibration,
        settings.percentile,
        settings.ranges,
        settings.refine,
        settings.seed,
    )
    return calibrate_model(graph, input_specs(graph), wishes, progress, notes)


def compile_graph(graph: Graph, ranges: Ranges) -> Graph:
    """The final integer graph of a float graph, in the order in which it will run."""
    return finish_graph(check_graph(quantize(graph, ranges), "quantization"))


def finish_graph(graph: Graph) -> Graph:
    """An integer graph without what need not be computed, in the order in which it will run."""
    integer = check_graph(drop_channels(graph), "channel elimination")
    integer = check_graph(fuse_input_transpose(integer), "input transposes")
    return check_graph(schedule(integer), "scheduling")


def integer_graph(model: Model, ranges: Ranges) -> Graph:
    """The final integer graph of a model; `ranges` only for a float one."""
    return finish_graph(model.graph) if model.quantized else compile_graph(model.graph, ranges)


def lay_out(
    graph: Graph, board: Board, name: str, model_file: str, sha256: str, command: str, keep_all: bool = False
) -> Library:
    """Kernels chosen and memory placed for an integer graph."""
    layers = select(graph, board)
    storage = assign(graph, layers, keep_all)
    return Library(name, graph, board, layers, storage, model_file, sha256, command)


def compile_model(path: Path, board: Board, settings: Settings, progress: Progress = silent) -> Compiled:
    """Everything up to the finished library, in memory. Raises what its stages raise."""
    with stage(progress, "reading the model"):
        model = read(path, settings.signature)
    notes = list(model.notes)
    wanted = path.stem if settings.name is None else settings.name
    name = c_name(wanted)
    if settings.name not in (None, name):
        notes.append(f"the library is called {name}: {settings.name!r} is no name for C in lower case")
    ranges: Ranges = {}
    record: dict[str, Any] = {}
    tuned = model
    if not model.quantized:
        calibrated = find_ranges(model.graph, settings, progress, notes)
        tuned, ranges, record = replace(model, graph=calibrated.graph), calibrated.ranges, calibrated.record
    elif (
        any(w is not None for w in (settings.calib, settings.percentile, settings.calibration))
        or settings.ranges
    ):
        notes.append("the model is quantized already: calibration changes nothing")
    command = settings.command or f"mcugen build {path.name} --board {board.name}"
    with stage(progress, "placing the buffers"):
        integer = integer_graph(tuned, ranges)
        library = lay_out(integer, board, name, path.name, model.sha256, command, settings.debug_layers)
    return Compiled(library, model.graph, ranges, tuple(notes), model.format, settings.signature, record)


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
        notes, original = list(compiled.notes), compiled.original
        source = (compiled.format, compiled.signature)
        manifest.update(describe(library, tables, files, original, compiled.ranges, notes, *source))
        manifest.update(compiled.record)

    folder = write_folder(out, library.name, files, finish, manifest)
    return Build(folder, manifest)


def build(
    model: str | Path,
    *,
    calib: Any = None,
    board: str | Path | Board = "cortex-m4",
    out: str | Path = "out",
    name: str | None = None,
    percentile: float | None = None,
    signature: str | None = None,
    debug_layers: bool = False,
    calibration: str | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    refine: bool = True,
    progress: Progress = silent,
    command: str = "",
) -> Build:
    """Compile an ONNX or .tflite file into the folder out/NAME and return it with its manifest.

    calib: what `--calib` takes, or from Python an array [N, *input_shape], a dict of them by input name, or an
    iterable of samples. board: a name, the path of a .toml, or a Board. debug_layers: give every layer's output
    bytes of its own, for a debugger; it takes more RAM. signature: which of a .tflite's signatures.
    calibration: `minmax`, `percentile` or `mse`. ranges: by hand, {name: (lo, hi)}, in place of calibrated ones.
    refine: try refinements of the quantization, keep those that help on samples held back. Raises McugenError's
    subclasses for everything that a user can mend.
    """
    target = board if isinstance(board, Board) else load_board(str(board))
    settings = Settings(
        calib=calib,
        name=name,
        percentile=percentile,
        signature=signature,
        debug_layers=debug_layers,
        command=command,
        calibration=calibration,
        ranges=ranges or {},
        refine=refine,
    )
    compiled = compile_model(Path(model), target, settings, progress)
    return write(compiled, Path(out))
