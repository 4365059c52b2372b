"""Cross-layer equalization and bias correction: the function stays, noise falls, and only what helps is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx_net import Net, normalised, smooth_samples

import mcugen
from mcugen.calibrate.ranges import Method, Observed, calibrate, observe
from mcugen.errors import UsageError
from mcugen.execute import outputs, run_samples
from mcugen.ir import Array, Graph
from mcugen.ops.op import quantize_array
from mcugen.quantize import refine as room
from mcugen.quantize.bias_correct import find_shifts, shift_biases
from mcugen.quantize.equalize import choose_scales, equalize, pairs, peaks
from mcugen.quantize.ptq import quantize
from mcugen.verify import verify

X = smooth_samples(np.random.default_rng(3), 60, (3, 10, 10))


def _network(spread: float = 30.0, function: str = "Relu", seed: int = 0) -> onnx.ModelProto:
    """Convolution, depthwise, grouped, 1x1, dense, with channels of very different ranges that matter alike."""
    net = Net(seed=seed)
    x = net.input(1, 3, 10, 10, name="x")
    before = np.ones(3)
    for channels, out, kernel, group in ((3, 8, 3, 1), (8, 16, 3, 8), (16, 8, 3, 2), (8, 8, 1, 1)):
        x = net.conv(x, channels, out, kernel, kernel, group=group)
        w, b = net.nodes[-1].input[1:]
        factors = np.exp(net.rng.uniform(-np.log(spread), 0, out)) if kernel > 1 else np.ones(out)
        taken = np.repeat(before.reshape(group, -1), out // group, axis=0)  # [out, channels of its group]
        weights = net.constants[w] * factors[:, None, None, None] / taken[:, :, None, None]
        net.constants[w] = weights.astype(np.float32)
        net.constants[b] = (net.constants[b] * factors).astype(np.float32)
        before = factors
        x = net.add(function, x)
    x = net.reshape(net.add("GlobalAveragePool", x), 1, 8)
    x = net.add("Relu", net.dense(x, 8, 6))
    return net.model(net.add("Softmax", net.dense(x, 6, 4), name="y"))


def _saved(folder: Path, model: onnx.ModelProto) -> Path:
    onnx.save(model, folder / "net.onnx")
    return folder / "net.onnx"


def _noise(graph: Graph, changed: Graph) -> float:
    integer = quantize(changed, calibrate(changed, {"x": X}))
    quant = integer.type("x").quant
    assert quant is not None
    (name,) = room._measured(graph)
    exact = room._values(graph, [name], {"x": X})[name]
    t = integer.type(name)
    q = room._values(integer, [name], {"x": quantize_array(X, quant)})[name].astype(np.float64)
    return float(np.sum(np.square((q - t.zero_point) * t.scale - exact)))


@pytest.fixture(scope="module")
def graph() -> Graph:
    return normalised(_network())


def test_equalized_networks_compute_the_same_numbers(graph: Graph) -> None:
    assert [(a.op, b.op) for a, b in pairs(graph)] == [
        ("conv2d", "depthwise_conv2d"),
        ("depthwise_conv2d", "conv2d"),
        ("conv2d", "conv2d"),
        ("fully_connected", "fully_connected"),
    ]
    scales = choose_scales(graph, peaks(graph, run_samples(graph, {"x": X})))
    assert len(scales) >= 3
    changed = equalize(graph, scales)
    assert np.array_equal(outputs(changed, {"x": X})["y"], outputs(graph, {"x": X})["y"])
    (before,), (after,) = run_samples(graph, {"x": X}), run_samples(changed, {"x": X})
    for name, s in scales.items():
        assert np.array_equal(after[name], (before[name] / s).astype(np.float32))


def test_channels_before_a_depthwise_layer_get_one_range(graph: Graph) -> None:
    name = pairs(graph)[0][0].outputs[0]
    seen = peaks(graph, run_samples(graph, {"x": X}))
    changed = equalize(graph, choose_scales(graph, seen))
    after = peaks(changed, run_samples(changed, {"x": X}))[name]
    live = seen[name] > seen[name].max() / 255
    assert after[live].min() > after[live].max() / 4 and seen[name].min() < seen[name].max() / 4


@pytest.mark.parametrize("function", ["LeakyRelu", "Sigmoid", "HardSwish"])
def test_only_relu_lets_channels_be_scaled(function: str) -> None:
    graph = normalised(_network(function=function))
    assert [a.op for a, _ in pairs(graph)] == ["fully_connected"]


def test_relu6_does_not_let_channels_be_scaled() -> None:
    net = Net()
    x = net.conv(net.input(1, 3, 10, 10, name="x"), 3, 4, 3, 3)
    x = net.add("Clip", x, net.constant(0.0), net.constant(6.0))
    assert pairs(normalised(net.model(net.conv(x, 4, 4, 1, 1)))) == []


def test_constants_that_layers_share_are_changed_for_each_alone() -> None:
    net = Net()
    w, b = net.weights(4, 4), net.vector(4)
    x = net.input(1, 4, name="x")
    for _ in range(3):
        x = net.add("Relu", net.add("Gemm", x, w, b, transB=1))
    graph = normalised(net.model(x))
    x4 = np.random.default_rng(0).standard_normal((20, 4)).astype(np.float32)
    scales = {a.outputs[0]: np.array([1.0, 0.5, 0.25, 0.125]) for a, _ in pairs(graph)}
    assert len(scales) == 2
    changed = equalize(graph, scales)
    y = graph.outputs[0]
    assert np.array_equal(outputs(changed, {"x": x4})[y], outputs(graph, {"x": x4})[y])


def test_both_lower_the_noise(graph: Graph) -> None:
    plain = _noise(graph, graph)
    changed = equalize(graph, choose_scales(graph, peaks(graph, run_samples(graph, {"x": X}))))
    assert _noise(graph, changed) < 0.7 * plain
    shifts = find_shifts(graph, calibrate(graph, {"x": X}), {"x": X})
    assert _noise(graph, shift_biases(graph, shifts)) < 0.7 * plain


def test_a_corrected_layer_is_not_shifted_on_average() -> None:
    net = Net()
    y = net.dense(net.add("Relu", net.dense(net.input(1, 40, name="x"), 40, 30)), 30, 5)
    graph = normalised(net.model(y))
    x = np.random.default_rng(1).standard_normal((200, 40)).astype(np.float32)
    ranges = calibrate(graph, {"x": x})
    exact = outputs(graph, {"x": x})[y].mean(axis=0)

    def shift(changed: Graph) -> Array:
        integer = quantize(changed, ranges)
        t, quant = integer.type(y), integer.type("x").quant
        assert quant is not None
        q = outputs(integer, {"x": quantize_array(x, quant)})[y].astype(np.float64)
        return np.abs(((q - t.zero_point) * t.scale).mean(axis=0) - exact)

    after = shift(shift_biases(graph, find_shifts(graph, ranges, {"x": x})))
    assert after.max() < 0.3 * shift(graph).max()


def _refined(graph: Graph, count: int = 60) -> room.Refined:
    samples = {"x": X[:count]}

    def again(changed: Graph) -> Observed:
        return observe(changed, samples, Method())

    return room.refine(graph, samples, again(graph), {}, again)


def test_what_helps_is_kept(graph: Graph) -> None:
    refined = _refined(graph)
    for trial in refined.trials:
        assert trial.kept and trial.before is not None and trial.after is not None
        assert trial.after > trial.before and "12 samples held back" in (trial.measure or "")
    assert refined.scales and refined.shifts


def test_what_does_not_help_is_not(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(state: room.Refined, *rest: Any) -> room.Refined:
        shifts = {n.outputs[0]: np.full(n_channels(state.graph, n), 3.0) for n, _ in pairs(state.graph)}
        return room.replace(state, graph=shift_biases(state.graph, shifts), shifts=shifts)

    def n_channels(graph: Graph, node: Any) -> int:
        return graph.type(node.outputs[0]).shape[-1]

    monkeypatch.setattr(room, "_corrected", spoil)
    monkeypatch.setattr(room, "_equalized", lambda state, *rest: state)  # changes nothing: not better
    refined = _refined(graph)
    assert not any(trial.kept for trial in refined.trials) and refined.graph is graph
    assert all(trial.why for trial in refined.trials)


def test_few_samples_are_not_divided(graph: Graph) -> None:
    refined = _refined(graph, 9)
    assert all(t.record()["tried"] is False and "too few" in t.why for t in refined.trials)


def test_a_build_tells_keeps_and_repeats_them(tmp_path: Path) -> None:
    model = _saved(tmp_path, _network())
    built = mcugen.build(model, calib=X, out=tmp_path)
    manifest = json.loads((built.path / "net.json").read_text())
    assert [t["kept"] for t in manifest["refinements"]] == [True, True]
    report = verify(built.path, data=X, model=model)
    plain = verify(
        mcugen.build(model, calib=X, refine=False, out=tmp_path / "plain").path, data=X, model=model
    )
    assert report.ok and plain.ok
    for ours, theirs in zip(report.layers, plain.layers, strict=True):
        assert ours.sqnr is not None and theirs.sqnr is not None and ours.sqnr > theirs.sqnr - 1.0
    assert (report.layers[-2].sqnr or 0) > (plain.layers[-2].sqnr or 0) + 3.0
    again = mcugen.build(model, calib=built.path / "net.json", out=tmp_path / "again")
    third = mcugen.build(model, calib=again.path / "net.json", out=tmp_path / "third")
    for other in (again, third):
        for path in sorted((built.path / "src").iterdir()):
            assert path.read_bytes() == (other.path / "src" / path.name).read_bytes()


@pytest.mark.parametrize(
    "refined",
    [
        7,
        {"equalized": 7},
        {"equalized": {"nothing": [1.0]}},
        {"equalized": {"y": [1.0] * 4}},
        {"equalized": {"HIDDEN": [0.0] * 8}},
        {"equalized": {"HIDDEN": [1.0] * 7}},
        {"equalized": {"HIDDEN": "text"}},
        {"equalized": {"HIDDEN": [[1.0], 2.0]}},
        {"bias_shifts": {"HIDDEN": [float("nan")] * 8}},
        {"bias_shifts": {"y": [0.0] * 4}},
    ],
)
def test_damaged_records_are_refused(tmp_path: Path, refined: Any, graph: Graph) -> None:
    model = _saved(tmp_path, _network())
    built = mcugen.build(model, calib=X, out=tmp_path)
    hidden = pairs(graph)[0][0].outputs[0]
    text = json.dumps(refined).replace("HIDDEN", hidden)
    document = {**built.manifest, "refined": json.loads(text)}
    (tmp_path / "stored.json").write_text(json.dumps(document))
    with pytest.raises(UsageError, match="stored.json"):
        mcugen.build(model, calib=tmp_path / "stored.json", out=tmp_path / "again")
