"""What a model file is, by its content first and by its name only where it has none that says so."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

PYTHON_VARIABLE = "MCUGEN_CONVERTER_PYTHON"  # names the Python that converts
_HDF5 = b"\x89HDF\r\n\x1a\n"
_ZIP = b"PK\x03\x04"


@dataclass(frozen=True)
class Source:
    """A format that another framework has to convert. `by_hand`: the user's own way, line by line."""

    format: str  # as the manifest calls it
    what: str
    framework: str  # whose worker converts it
    packages: tuple[str, ...]
    by_hand: str


_TFLITE = "open('model.tflite', 'wb').write(converter.convert())"
KERAS = Source(
    "keras",
    "a Keras file",
    "tensorflow",
    ("tensorflow",),
    f"""import tensorflow as tf, keras
converter = tf.lite.TFLiteConverter.from_keras_model(keras.models.load_model({{name!r}}))
{_TFLITE}""",
)
SAVED_MODEL = Source(
    "saved_model",
    "a TensorFlow SavedModel",
    "tensorflow",
    ("tensorflow",),
    f"""import tensorflow as tf
converter = tf.lite.TFLiteConverter.from_saved_model({{name!r}})
{_TFLITE}""",
)
PT2 = Source(
    "pt2",
    "a PyTorch program (torch.export)",
    "torch",
    ("torch", "onnx", "onnxscript"),
    """import torch
program = torch.export.load({name!r})
torch.onnx.export(program, (), dynamo=True).save('model.onnx')""",
)
_SUFFIXES = {".keras": KERAS, ".h5": KERAS, ".hdf5": KERAS, ".pt2": PT2}


def recognise(path: Path) -> Source | None:
    """The format of a file or folder that must be converted first; None for all others, readable or not."""
    if path.is_dir():
        return SAVED_MODEL if (path / "saved_model.pb").is_file() else None
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except (OSError, ValueError):
        return None
    if head.startswith(_HDF5):
        return KERAS
    if head.startswith(_ZIP):
        return _in_archive(path)
    return _SUFFIXES.get(path.suffix.lower())


def _in_archive(path: Path) -> Source | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return _SUFFIXES.get(path.suffix.lower())  # whose own reader will say what is wrong
    if {"config.json", "metadata.json"} <= set(names):
        return KERAS
    if any(n.endswith("/archive_format") or n == "serialized_exported_program.json" for n in names):
        return PT2
    if any(n.endswith("data.pkl") for n in names):  # pickled, whatever it is called: onnx_file.py refuses it
        return None
    return _SUFFIXES.get(path.suffix.lower())
