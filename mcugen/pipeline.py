"""Read me first: the way from a model file to a folder of C, as plain calls with a check between two of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mcugen.boards import Board, load_board
from mcugen.calibrate.calibrate import Calibrated, Wishes, calibrate_model
from mcugen.calibrate.data import InputSpec
from mcugen.check import check_graph
from mcugen.choice import Optimize
from mcugen.choice_input import decide_with_inputs
from mcugen.errors import Fault, UsageError
from mcugen.fit import check_fit
from mcugen.graph_file import save_graph
from mcugen.interface import user_shape
from mcugen.ir import DType, Graph
from mcugen.library import Library
from mcugen.manifest import describe
from mcugen.model_file import Model, read_model
from mcugen.naming import c_name
from mcugen.normalise.annotations import (
    annotated,
    annotation_type,
    quantized_weights,
    without_annotations,
)
from mcugen.progress import Progress, silent, stage
from mcugen.quantize.annotated import (
    Spread,
    annotation_record,
    check_complete,
    exact_steps,
    origin_notes,
    spread_annotations,
)
from mcugen.quantize.channels import drop_channels
from mcugen.quantize.element_types import Types
from mcugen.quantize.fallback import fall_back
from mcugen.quantize.layers import LayerWish, check_wishes, wished_methods, wished_types
from mcugen.quantize.ports import set_ports
from mcugen.quantize.ptq import Ranges
from mcugen.quantize.ptq import quantize as to_integers
from mcugen.quantize.recipes import TRAITS, Recipe, store_weights
from mcugen.read.float_check import check_import
from mcugen.render import render
from mcugen.rewrite import with_integer_indices
from mcugen.schedule import schedule
from mcugen.settings import Settings, make_settings
from mcugen.write import write_folder


@dataclass(frozen=True)
class Compiled:
    """A model compiled for one board, before anything is written."""

    library: Library
    original: Graph  # normalised float graph, or the integer graph that the file holds
    ranges: Ranges
    notes: tuple[str, ...]
    format: str = "onnx"  # of the model file
    signature: str | None = None  # the one that the user chose
    recipe: str = "int8"  # or `file` where the file is quantized
    io: DType | None = None
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
    """Ranges of all activations, from calibration data or stored by an earlier build, and refinements; none of weights
    that the file has as integers."""
    activations = TRAITS[settings.effective_recipe].activations
    refine = settings.refine and activations is DType.INT8 and not quantized_weights(graph)
    wishes = Wishes(
        settings.calib,
        settings.calibration,
        settings.percentile,
        settings.ranges,
        refine,
        settings.seed,
        wished_methods(graph, settings.layers),
        activations,
    )
    return calibrate_model(graph, input_specs(graph), wishes, progress, notes)


def complete_ranges(spread: Spread, settings: Settings, progress: Progress, notes: list[str]) -> Calibrated:
    """Ranges of all activations of a graph with annotations; those without one are calibrated. Nothing is refined:
    it would change what the file says. Raises UsageError naming those that need calibration data, without any."""
    if settings.calib is None:
        check_complete(spread)
    if spread.missing:
        calibrated = find_ranges(spread.graph, replace(settings, refine=False), progress, notes)
        ranges, record = {**calibrated.ranges, **spread.ranges}, calibrated.record
    else:
        if settings.calibrates:
            notes.append("the model file annotates all its tensors: calibration changes nothing")
        ranges, record = spread.ranges, {}
    record = {**record, "calibration": annotation_record(spread, record.get("calibration"))}
    return Calibrated(spread.graph, ranges, record)


def compile_graph(
    graph: Graph,
    ranges: Ranges,
    recipe: Recipe = Recipe.INT8,
    io: DType | None = None,
    types: Types | None = None,
) -> Graph:
    """The final graph of a float graph, in the order in which it will run; `ranges` where the recipe needs them;
    `types` of nodes by name that are not the recipe's."""
    traits = TRAITS[recipe]
    stored = store_weights(graph, recipe)
    integer = traits.calibrated
    made = with_integer_indices(stored if integer else without_annotations(stored))
    if integer:
        made = to_integers(stored, ranges, types, traits.activations)
    if annotated(stored):
        made = exact_steps(made)
    return finish_graph(set_ports(check_graph(made, "quantization"), io or traits.io))


def finish_graph(graph: Graph) -> Graph:
    """A quantized graph without what need not be computed, in the order in which it will run."""
    integer = check_graph(drop_channels(graph), "channel elimination")
    return check_graph(schedule(integer), "scheduling")


def final_graph(model: Model, ranges: Ranges, settings: Settings, board: Board, notes: list[str]) -> Graph:
    """The final graph of a model; `ranges`, recipe and wishes for layers are for a float one."""
    recipe, io = settings.effective_recipe, settings.io
    if model.quantized:
        return finish_graph(check_graph(set_ports(model.graph, io), "inputs and outputs"))
    asked = wished_types(model.graph, settings.layers)
    if TRAITS[recipe].fallback:
        asked = fall_back(model.graph, ranges, asked, board, TRAITS[recipe].activations)
    notes += asked.notes()
    return compile_graph(model.graph, ranges, recipe, io, asked.types)


def check_types(recipe: Recipe, settings: Settings, quantized: bool) -> None:
    """Raises UsageError for types that do not fit together."""
    faults, io = [], settings.io
    wide = TRAITS[recipe].activations is DType.INT16
    fallback = Recipe.INT16X8_FLOAT_FALLBACK if wide else Recipe.INT8_FLOAT_FALLBACK
    if not quantized and not TRAITS[recipe].calibrated and io not in (None, DType.FLOAT32):
        why = f"a network of the recipe {recipe} takes and gives real numbers: {io} would need ranges"
        faults.append(Fault("--io", why, "leave it out, or --quantize int8"))
    if TRAITS[recipe].activations is DType.INT16 and settings.calibration == "mse":
        fix = "minmax: at 16 bits clipping hardly ever pays; or percentile against outliers"
        faults.append(Fault("--calibration mse", "it minimises the error of int8", fix))
    for wish in settings.layers:
        if wish.type is None and wish.method is None:
            continue
        real = wish.type is DType.FLOAT32
        if quantized:
            faults.append(Fault(wish.where, "the model is quantized already", "leave it out"))
        elif not TRAITS[recipe].calibrated or (real and not TRAITS[recipe].fallback):
            why = f"the recipe {recipe} has no {'float layers of choice' if real else 'types or ranges of layers'}"
            faults.append(Fault(wish.where, why, f"--quantize {fallback}"))
    if faults:
        raise UsageError("the types do not fit together", faults)


def settle(settings: Settings, model: Model) -> Settings:
    """Settings for one model: with the recipe of a file whose activations are to have 16 bits. Raises UsageError for
    what does not fit together, or fits no layer."""
    if settings.recipe is None and annotation_type(model.graph) is DType.INT16:
        settings = replace(settings, recipe=Recipe.INT16X8)
    recipe = settings.effective_recipe
    check_types(recipe, settings, model.quantized)
    check_wishes(model.graph, settings.layers)
    integers, wanted = annotation_type(model.graph), TRAITS[recipe].activations
    if annotated(model.graph) and TRAITS[recipe].calibrated and wanted is not integers:
        why = f"the model file quantizes its activations to {integers}, {recipe} to {wanted}"
        raise UsageError("the types do not fit together", [Fault("--quantize", why, "leave it out")])
    return settings


def float_notes(graph: Graph, board: Board) -> list[str]:
    """What the user should know about real numbers that are left."""
    left = [
        n for n in graph.nodes if any(graph.type(t).dtype is DType.FLOAT32 for t in (*n.inputs, *n.outputs))
    ]
    if not left or board.is_host or board.isa.fpu:
        return []
    return [f"{board.name} has no FPU: {len(left)} operators compute float32 in software, which is slow"]


def lay_out(
    graph: Graph,
    board: Board,
    name: str,
    model_file: str,
    sha256: str,
    command: str,
    keep_all: bool = False,
    optimize: Optimize = Optimize.BALANCED,
    wishes: Sequence[LayerWish] = (),
) -> Library:
    """Kernels chosen and memory placed for an integer graph; `wishes` for kernels of single layers."""
    graph, decision = decide_with_inputs(graph, board, optimize, wishes, keep_all)
    return Library(name, graph, board, decision, model_file, sha256, command)


def compile_model(path: Path, board: Board, settings: Settings, progress: Progress = silent) -> Compiled:
    """Everything up to the finished library, in memory. Raises what its stages raise."""
    with stage(progress, "reading the model"):
        model = read(path, settings.signature)
    notes = list(model.notes)
    wanted = path.stem if settings.name is None else settings.name
    name = c_name(wanted)
    if settings.name not in (None, name):
        notes.append(f"the library is called {name}: {settings.name!r} is no name for C in lower case")
    asked, settings = settings.recipe, settle(settings, model)
    recipe = settings.effective_recipe
    ranges: Ranges = {}
    calibrates = TRAITS[recipe].calibrated and not model.quantized
    record: dict[str, Any] = {}
    tuned = model
    spread = None
    is_annotated = annotated(model.graph)
    if calibrates and is_annotated:
        spread = spread_annotations(model.graph)
        calibrated = complete_ranges(spread, settings, progress, notes)
    elif calibrates:
        calibrated = find_ranges(model.graph, settings, progress, notes)
    if calibrates:
        tuned, ranges, record = replace(model, graph=calibrated.graph), calibrated.ranges, calibrated.record
    elif settings.calibrates:
        why = "the model is quantized already" if model.quantized else f"{recipe} needs no ranges"
        notes.append(f"{why}: calibration changes nothing")
    if is_annotated and not calibrates:
        notes.append(f"quantized model: {recipe} leaves the scales of its activations aside")
    if model.quantized and asked is not None:
        notes.append("the model is quantized already: --quantize changes nothing")
    aim = "" if settings.optimize is Optimize.BALANCED else f" --optimize {settings.optimize}"
    command = settings.command or f"mcugen build {path.name} --board {board.name}{aim}"
    with stage(progress, "placing the buffers"):
        graph = final_graph(tuned, ranges, settings, board, notes)
        whole = settings.debug_layers
        aims = (settings.optimize, settings.layers)
        library = lay_out(graph, board, name, path.name, model.sha256, command, whole, *aims)
    notes += origin_notes(spread, graph) if spread else []
    notes += float_notes(graph, board)
    kind = "file" if model.quantized else recipe.value
    source = (model.format, settings.signature)
    return Compiled(library, model.graph, ranges, tuple(notes), *source, kind, settings.io, record)


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
        manifest["quantization"] = {"recipe": compiled.recipe, "io": compiled.io}
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
    quantize: str | None = None,
    io: str | None = None,
    in_float: Sequence[str] = (),
    calibration: str | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    refine: bool | None = None,
    recipe: str | Path | None = None,
    optimize: str | None = None,
    progress: Progress = silent,
    command: str = "",
) -> Build:
    """Compile an ONNX or .tflite file into the folder out/NAME and return it with its manifest.

    calib: what `--calib` takes, or from Python an array [N, *input_shape], a dict of them by input name, or an
    iterable of samples. board: a name, the path of a .toml, or a Board. debug_layers: give every layer's output
    bytes of its own, for a debugger; it takes more RAM. signature: which of a .tflite's signatures. quantize: a
    recipe, int8 if nothing is said. io: int8, uint8, int16 or float for inputs and outputs, by default the recipe's
    or the file's own. in_float: names or patterns of layers that compute real numbers (recipe int8-float-fallback).
    calibration: `minmax`, `percentile` or `mse`. ranges: by hand, {name: (lo, hi)}, in place of calibrated ones.
    refine: try refinements of the quantization, keep those that help on samples held back (default). recipe: a TOML
    file of such options and of wishes for single layers. optimize: what kernels are chosen for, speed, size, ram or
    balanced (default). Raises McugenError's subclasses for everything that a user can mend.
    """
    target = board if isinstance(board, Board) else load_board(str(board))
    settings = make_settings(
        recipe,
        quantize,
        io,
        in_float,
        calib=calib,
        name=name,
        percentile=percentile,
        signature=signature,
        debug_layers=debug_layers,
        calibration=calibration,
        ranges=ranges,
        refine=refine,
        optimize=optimize,
        command=command,
    )
    compiled = compile_model(Path(model), target, settings, progress)
    return write(compiled, Path(out))
