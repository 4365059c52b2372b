"""The stored ranges that benchmarks start from: float sums differ between CPUs, ranges in a file do not.

`python -m benchmarks.ranges` writes them anew: kws and sww from the samples in examples/, the others, whose data may
not be redistributed, from seeded synthetic ones in the range of the real data.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from mcugen.calibrate.data import load_data
from mcugen.calibrate.ranges import calibrate
from mcugen.ir import Array
from mcugen.pipeline import input_specs, read

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parent / "examples"
MODELS = ("kws", "vww", "ic", "ad", "sww")


def model_path(name: str) -> Path:
    """The float ONNX file of an example model."""
    return EXAMPLES / "models" / f"{name}_float.onnx"


def ranges_path(name: str) -> Path:
    """The stored ranges of an example model."""
    return HERE / "ranges" / f"{name}.json"


def smooth_images(shape: tuple[int, ...], count: int, top: float) -> Array:
    """Random images float32 [count, h, w, c] in [0, top] without sharp edges: sums of a few waves."""
    rng = np.random.default_rng(0)
    h, w, c = shape
    y, x = np.meshgrid(np.linspace(0, 1, h), np.linspace(0, 1, w), indexing="ij")
    images = np.zeros((count, h, w, c))
    for _ in range(6):
        fy, fx, phase, weight = (rng.normal(0, s, (count, 1, 1, c)) for s in (4, 4, 6, 1))
        images += weight * np.sin(fy * y[None, :, :, None] + fx * x[None, :, :, None] + phase)
    images -= images.min(axis=(1, 2, 3), keepdims=True)
    scaled: Array = (top * images / images.max(axis=(1, 2, 3), keepdims=True)).astype(np.float32)
    return scaled


def samples(name: str) -> Array | Path:
    """Calibration data of an example model."""
    if name == "kws":
        return EXAMPLES / "kws" / "kws_calib.npz"
    if name == "sww":
        return EXAMPLES / "models" / "sww_calib.npz"
    if name == "ad":  # log-mel energies in dB, five frames of 128 bands
        return np.random.default_rng(0).normal(-25.0, 12.0, (100, 640)).astype(np.float32)
    return smooth_images((96, 96, 3), 60, 1.0) if name == "vww" else smooth_images((32, 32, 3), 100, 255.0)


def ranges_of(name: str) -> dict[str, tuple[float, float]]:
    """The ranges of an example model on its samples."""
    graph = read(model_path(name)).graph
    data = load_data(samples(name), input_specs(graph), purpose="calibration")
    arrays = {n: data.arrays[graph.tensors[n].source or n] for n in graph.inputs}
    return dict(calibrate(graph, arrays))


def main() -> None:
    """Write benchmarks/ranges/<model>.json."""
    for name in MODELS:
        ranges = ranges_of(name)
        text = json.dumps({"ranges": {n: list(ranges[n]) for n in sorted(ranges)}}, indent=1)
        ranges_path(name).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
