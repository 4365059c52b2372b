"""Every layer of a library beside the tensors of its .tflite file as TensorFlow Lite Micro computes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tflm
from harness import samples_for
from native import compile_native, run_native

import mcugen
from mcugen.graph_file import load_graph
from mcugen.ir import Array, Tensor
from mcugen.model_file import read_model
from mcugen.simulate import as_bytes

SANITIZED = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def every_output(model: bytes) -> tuple[bytes, list[str]]:
    """The file with all that operators compute as outputs behind its own; the names of all of them."""
    schema = tflm._package()[1]
    made = schema.ModelT.InitFromPackedBuf(model, 0)
    graph = made.subgraphs[0]
    computed = [int(t) for op in graph.operators for t in op.outputs]
    outputs = [int(t) for t in graph.outputs]
    outputs += [t for t in computed if graph.tensors[t].type != schema.TensorType.RESOURCE]
    graph.outputs = list(dict.fromkeys(outputs))
    made.buffers = [tflm._aligned(b) if b.data is not None else b for b in made.buffers]
    return tflm.pack(made), [graph.tensors[t].name.decode() for t in graph.outputs]


def left_of(tensor: Tensor, exact: Array) -> Array:
    """Those channels of what TFLM computed [N, ...] that the library has; asserts the value of the constant ones."""
    if not tensor.channels:
        return exact
    exact = exact.reshape(len(exact), -1, tensor.channels.total)
    for channel, value in tensor.channels.constant:
        assert (exact[..., channel] == value).all(), (
            f"channel {channel} of {tensor.name} is not always {value}"
        )
    return np.asarray(exact[..., list(tensor.channels.kept)])


def check_layers(model: bytes, folder: Path, count: int = 8, seed: int = 0) -> tuple[int, int, int]:
    """Build the file, run its C on samples at random, all-min, all-max and two of the first again, in sequence, and
    compare all outputs and layers. Gives how many layers of how many were compared, and bytes. Raises TflmError."""
    whole, names = every_output(model)
    (folder / "net.tflite").write_bytes(model)
    samples = samples_for(read_model(folder / "net.tflite").graph, count, seed)
    x = [np.concatenate([a, a[:2]]) for a in samples]
    runs = tflm._run(whole, list(zip(*x, strict=True)))
    exact = {name: np.stack([run[i] for run in runs]) for i, name in enumerate(names)}
    built = mcugen.build(folder / "net.tflite", out=folder)
    graph, layers = load_graph(built.path / "net.graph.npz"), built.manifest["layers"]
    results, traces = run_native(compile_native(built.path, folder, "gcc", SANITIZED), built.path, x)
    pairs = [(name, got, exact[name]) for name, got in zip(names, results, strict=False)]
    for layer, got in zip(layers, traces, strict=True):
        tensor = graph.tensors[layer["output"]["tensor"]]
        if tensor.name == tensor.source and tensor.name in exact:  # else it is an intermediate of ours
            pairs.append((layer["name"], got, left_of(tensor, exact[tensor.name])))
    for name, got, wanted in pairs:
        np.testing.assert_array_equal(got, as_bytes(wanted), err_msg=name)
    return len(pairs) - len(results), len(layers), sum(got.size for _, got, _ in pairs)
