"""Real quantized models: the C equals TensorFlow Lite Micro in every output byte and every layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tflm
from tflite_layers import every_output, left_of

import mcugen
from mcugen.graph_file import load_graph
from mcugen.ir import Array
from mcugen.simulate import quantize_port
from mcugen.verify import verify

MODELS = Path(__file__).parents[2] / "examples" / "tflite"
NAMES = ("kws", "vww", "ic", "ad", "sww", "person_detect", "micro_speech", "hello_world", "mnist_lstm")
SAMPLES = 300  # and all-min, all-max
DATA = MODELS.parent / "kws" / "kws_test.npz"  # the clips that the real samples of kws come from


def _oracle(path: Path) -> tuple[Any, list[str]]:
    """TFLM on the file, with every operator's outputs as outputs of the model; their names."""
    runtime, _ = tflm._package()
    model, names = every_output(path.read_bytes())
    return runtime.Interpreter.from_bytes(model, arena_size=1 << 22), names


def _samples(name: str, port: dict[str, Any]) -> Array:
    """Random numbers, smooth ones, for kws real ones, all-min and all-max, in sequence."""
    rng, shape = np.random.default_rng(len(name)), port["shape"]
    x = rng.integers(-128, 128, (SAMPLES + 2, *shape), dtype=np.int64).astype(np.int8)
    flat = x.reshape(len(x), -1)
    third = SAMPLES // 3
    waves = rng.normal(0, 9, (third, 1)) * np.linspace(0, 1, flat.shape[1]) + rng.normal(0, 3, (third, 1))
    flat[:third] = np.rint(127 * np.sin(waves))
    if name == "kws":
        real = np.load(DATA)["input"][: SAMPLES - 2 * third].reshape(-1, *shape)
        x[third : third + len(real)] = quantize_port(real, port)
    x[-2], x[-1] = -128, 127
    return x


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_layer_equals_tflm(name: str, tmp_path: Path) -> None:
    path = MODELS / f"{name}_int8.tflite"
    built = mcugen.build(path, out=tmp_path)
    library, graph = mcugen.HostLibrary(built.path), load_graph(built.path / f"{built.path.name}.graph.npz")
    interpreter, names = _oracle(path)
    x = _samples(name, library.inputs[0])
    results, traces = library.run_layers([x])
    compared = 0
    for i, sample in enumerate(x):
        shape = interpreter.get_input_details(0)["shape"]
        interpreter.set_input(sample.reshape(shape), 0)
        interpreter.invoke()
        exact = {n: np.array(interpreter.get_output(k)) for k, n in enumerate(names)}
        np.testing.assert_array_equal(results[0][i].reshape(-1), exact[names[0]].reshape(-1))
        for layer, trace in zip(library.layers, traces, strict=True):
            tensor = graph.tensors[layer["output"]["tensor"]]
            if tensor.source not in exact:
                continue  # an intermediate of ours
            wanted = left_of(tensor, exact[tensor.source][np.newaxis])
            np.testing.assert_array_equal(trace[i].reshape(-1), wanted.reshape(-1), err_msg=layer["name"])
            compared += 1
    assert compared >= len(x) * (len(library.layers) - 2)


@pytest.mark.slow
def test_verify_compares_with_the_files_tensors(tmp_path: Path) -> None:
    """vww has channels that are constant and channels that nothing reads."""
    path = MODELS / "vww_int8.tflite"
    report = verify(mcugen.build(path, out=tmp_path).path, model=path)
    assert report.ok and report.original is not None and report.float_report is None
    assert report.original.different == 0 and report.original.layers == len(report.layers)
    assert report.original.constant > 1000 and report.original.dead > 10
    assert report.original.compared > sum(layer.compared for layer in report.layers)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "arena"),
    [("kws", 9000), ("ic", 34000), ("vww", 37500), ("ad", 768), ("sww", 3900), ("person_detect", 37500)],
)
def test_arena(name: str, arena: int, tmp_path: Path) -> None:
    assert mcugen.build(MODELS / f"{name}_int8.tflite", out=tmp_path).arena <= arena
