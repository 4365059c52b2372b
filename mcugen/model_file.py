"""A model file, ONNX or .tflite, as the graph that the compiler starts from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mcugen.errors import Fault, UsageError
from mcugen.ir import Graph
from mcugen.normalise import normalise, tidy
from mcugen.read import is_tflite
from mcugen.read.onnx_import import ImportedModel, import_onnx
from mcugen.read.tflite_import import import_tflite


@dataclass(frozen=True)
class Model:
    """A model file that was read: its normalised float graph, or (`quantized`) the integer graph that it holds."""

    graph: Graph
    sha256: str
    format: str
    notes: tuple[str, ...]
    quantized: bool = False
    onnx: ImportedModel | None = None  # what an ONNX file was imported as


def read_model(path: Path, signature: str | None = None) -> Model:
    """Read a file. `signature` chooses among those of a .tflite. Raises UsageError, ModelError, UnsupportedError."""
    if is_tflite(path):
        tflite = import_tflite(path, signature)
        graph = tidy(tflite.graph) if tflite.quantized else normalise(tflite.graph)
        return Model(graph, tflite.file.sha256, "tflite", tflite.notes, tflite.quantized)
    if signature is not None:
        raise UsageError("no such signature", [Fault("--signature", "only .tflite files have signatures")])
    imported = import_onnx(path)
    return Model(normalise(imported.graph), imported.file.sha256, "onnx", imported.notes, onnx=imported)
