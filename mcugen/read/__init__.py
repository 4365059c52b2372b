"""Model files, treated as hostile, to graphs."""

from __future__ import annotations

from pathlib import Path


def is_tflite(path: Path) -> bool:
    """Whether a file is to be read as .tflite: by its identifier, or by its name if it has none."""
    try:
        with path.open("rb") as file:
            return file.read(8)[4:] == b"TFL3" or path.suffix == ".tflite"
    except OSError:
        return path.suffix == ".tflite"
