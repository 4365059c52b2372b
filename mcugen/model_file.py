"""A model file as the graph that the compiler starts from: ONNX, .tflite, or what is converted to one of them."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from mcugen.convert.recognise import recognise
from mcugen.convert.run import Converted, check_conversion, convert
from mcugen.errors import Fault, UsageError
from mcugen.ir import Graph
from mcugen.normalise import normalise, tidy
from mcugen.read import is_tflite
from mcugen.read.onnx_import import ImportedModel, import_onnx
from mcugen.read.tflite_import import ImportedTflite, import_tflite


@dataclass(frozen=True)
class Model:
    """A model file that was read: its normalised float graph, or (`quantized`) the integer graph that it holds."""

    graph: Graph
    sha256: str
    format: str
    notes: tuple[str, ...]
    quantized: bool = False
    onnx: ImportedModel | None = None  # what an ONNX file was imported as


def converted_file(path: Path, signature: str | None = None) -> Converted | None:
    """A file of Keras, TensorFlow or PyTorch, converted; None for the formats that are read as they are."""
    source = recognise(path)
    return None if source is None else convert(path, source, signature)


def read_model(path: Path, signature: str | None = None, converted: Converted | None = None) -> Model:
    """Read a file, `converted` where that was done before. `signature` chooses among those of a .tflite or SavedModel.
    Raises UsageError, ModelError, UnsupportedError, ToolError."""
    converted = converted or converted_file(path, signature)
    if converted is None:
        return _read(path, signature)
    with tempfile.TemporaryDirectory(prefix="mcugen-") as work:
        file = Path(work) / path.resolve().name  # messages are to speak of the user's file
        file.write_bytes(converted.content)
        model = _read(file, converted.signature, names=True)
    if not model.quantized:
        check_conversion(converted, model.graph, file.name)
    notes = (*converted.notes, *model.notes)
    return replace(model, sha256=converted.sha256, format=converted.format, notes=notes)


def _named(tflite: ImportedTflite, key: str | None) -> Graph:
    """The graph with its inputs and outputs called as in a signature."""
    (signature,) = (s for s in tflite.file.signatures if s.key == key)
    tensors = dict(tflite.graph.tensors)
    for ports, known in ((tflite.graph.inputs, signature.inputs), (tflite.graph.outputs, signature.outputs)):
        for tensor, (name, _) in zip(ports, known, strict=True):
            tensors[tensor] = replace(tensors[tensor], source=name)
    return replace(tflite.graph, tensors=tensors)


def _read(path: Path, signature: str | None, names: bool = False) -> Model:
    if is_tflite(path):
        tflite = import_tflite(path, signature)
        named = _named(tflite, signature) if names else tflite.graph
        graph = tidy(named) if tflite.quantized else normalise(named)
        return Model(graph, tflite.file.sha256, "tflite", tflite.notes, tflite.quantized)
    if signature is not None:
        raise UsageError("no such signature", [Fault("--signature", "only .tflite files have signatures")])
    imported = import_onnx(path)
    return Model(normalise(imported.graph), imported.file.sha256, "onnx", imported.notes, onnx=imported)
