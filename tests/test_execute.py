"""Graphs in numpy: samples at once or one by one, in chunks, always the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
from onnx_net import Net, normalised
from random_networks import random_model

from mcugen import execute
from mcugen.execute import batchable, outputs, run, run_samples
from mcugen.ir import Graph


def _samples(graph: Graph, count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {
        n: rng.standard_normal((count, *graph.type(n).shape[1:])).astype(np.float32) for n in graph.inputs
    }


@pytest.mark.parametrize("seed", range(12))
def test_samples_at_once_are_those_one_by_one(seed: int) -> None:
    graph = normalised(random_model(seed))
    samples = _samples(graph, 5)
    together = outputs(graph, samples)
    for i in range(5):
        alone = run(graph, {n: s[i].reshape(graph.type(n).shape) for n, s in samples.items()})
        for name in graph.outputs:
            np.testing.assert_allclose(together[name][i], alone[name], rtol=1e-4, atol=1e-5)


def test_chunks_are_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net()
    graph = normalised(net.model(net.add("Tanh", net.input(1, 7, name="x"))))
    samples = _samples(graph, 300)
    whole = outputs(graph, samples)
    assert [len(c["x"]) for c in run_samples(graph, samples)] == [256, 44]
    monkeypatch.setattr(execute, "CHUNK_BYTES", 8 * 7 * 9 * 10)
    chunks = list(run_samples(graph, samples))
    assert [len(c["x"]) for c in chunks] == [10] * 30
    assert all(c[n].shape[1:] == graph.type(n).shape for c in chunks for n in c)
    np.testing.assert_array_equal(
        np.concatenate([c[graph.outputs[0]] for c in chunks]), whole[graph.outputs[0]]
    )


@pytest.mark.parametrize("axis", [0, 1])
def test_graphs_that_mix_samples_run_one_by_one(axis: int) -> None:
    net = Net()
    x = net.input(1, 4, name="x")
    graph = normalised(net.model(net.add("Concat", x, net.add("Neg", x), axis=axis)))
    assert batchable(graph) == (axis == 1)
    samples = _samples(graph, 3)
    (result,) = outputs(graph, samples).values()
    assert result.shape == ((3, 2, 4) if axis == 0 else (3, 1, 8))
    np.testing.assert_array_equal(result.reshape(3, 8), np.concatenate([samples["x"], -samples["x"]], axis=1))


@pytest.mark.parametrize("shape", [(), (4,), (1,)])
def test_inputs_without_a_batch_axis(shape: tuple[int, ...]) -> None:
    net = Net()
    graph = normalised(net.model(net.add("Neg", net.add("Sin", net.input(*shape, name="x")))))
    samples = {"x": np.random.default_rng(0).standard_normal((3, *shape)).astype(np.float32)}
    (result,) = outputs(graph, samples).values()
    assert result.shape == (3, *shape)
    np.testing.assert_allclose(result, -np.sin(samples["x"]), rtol=1e-6)
