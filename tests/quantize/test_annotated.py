"""Where tensors without an annotation take one, what the build says about it, and rescaling between annotations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx_net import Net, normalised, smooth_samples
from quantized_net import INT8, QDQ, built, quantize, residual

import mcugen
from mcugen.calibrate.ranges import calibrate
from mcugen.errors import UsageError
from mcugen.execute import outputs, run_samples
from mcugen.ir import Graph
from mcugen.normalise.annotations import alike, show_annotations
from mcugen.ops.functions import X
from mcugen.ops.op import activation_quant
from mcugen.pipeline import compile_graph
from mcugen.quantize.annotated import FILE, FIXED, NEIGHBOUR, Spread, spread_annotations


class Annotated(Net):
    def qdq(self, x: str, scale: float, zero: int = 0) -> str:
        code = self.constant(np.float32(scale)), self.constant(np.int8(zero))
        return str(self.add("DequantizeLinear", self.add("QuantizeLinear", x, *code), *code))


def _spread(net: Net, *made: str) -> Spread:
    return spread_annotations(normalised(net.model(*made)))


def _origins(spread: Spread, op: str) -> list[str | None]:
    return [spread.origins.get(n.outputs[0]) for n in spread.graph.nodes if n.op == op]


def _steps(graph: Graph) -> int:
    return sum(n.op == "unary" and n.attrs["function"] == X for n in graph.nodes)


def _integer(spread: Spread) -> Graph:
    assert not spread.missing
    return compile_graph(spread.graph, spread.ranges)


def test_annotations_spread_forward_and_backward() -> None:
    net = Annotated()
    x = net.qdq(net.add("Transpose", net.input(1, 6, 6, 4, name="x"), perm=[0, 3, 1, 2]), 0.02)
    pooled = net.add(
        "MaxPool", net.conv(x, 4, 4, 1, 1), kernel_shape=[2, 2]
    )  # the convolution's from the pooling's
    flat = net.add("Relu", net.reshape(net.qdq(pooled, 0.05, 3), 1, -1))
    spread = _spread(net, net.add("Sigmoid", flat))
    assert not spread.missing
    assert spread.origins["x"] in (FILE, NEIGHBOUR)
    assert _origins(spread, "conv2d") == [NEIGHBOUR]
    assert _origins(spread, "max_pool2d") == [FILE]
    assert _origins(spread, "unary") == [FIXED] or NEIGHBOUR in _origins(spread, "unary")
    assert _steps(_integer(spread)) == 0


def test_nothing_is_taken_where_values_would_be_cut_off() -> None:
    net = Annotated()
    x = net.conv(net.qdq(net.input(1, 3, 8, 8), 0.02), 3, 4, 1, 1)
    pooled = net.qdq(net.add("AveragePool", x, kernel_shape=[2, 2]), 0.01)
    y = net.conv(net.qdq(net.input(1, 3, 8, 8), 0.02), 3, 4, 1, 1)
    cut = net.qdq(net.add("Slice", y, *(net.constant(np.array([v])) for v in (1, 4, 2))), 0.02)
    other = net.qdq(net.add("Mul", y, y), 0.1)
    spread = _spread(net, pooled, cut, other)
    makers = {n.outputs[0]: n.op for n in spread.graph.nodes}
    assert [makers[name] for name in spread.missing] == ["conv2d", "conv2d"]


def test_all_tensors_without_a_range_are_named(tmp_path: Path) -> None:
    net = Annotated()
    x = net.qdq(net.input(1, 3, 8, 8, name="x"), 0.02)
    a = net.conv(x, 3, 4, 3, 3)
    b = net.add("Add", net.add("Relu", a), net.conv(x, 3, 4, 3, 3), name="sum")
    path = tmp_path / "half.onnx"
    onnx.save(
        net.model(net.add("GlobalAveragePool", net.conv(net.qdq(b, 0.05), 4, 5, 1, 1), name="end")), path
    )
    with pytest.raises(UsageError, match="4 tensors of the quantized model") as caught:
        mcugen.build(path, board="host", out=tmp_path / "out")
    for name in ("/Relu_3", "/Conv_4", "/Conv_8", "end.1"):
        assert f'tensor "{name}"' in str(caught.value), str(caught.value)
    samples = smooth_samples(np.random.default_rng(0), 64, (3, 8, 8))
    manifest, report = built(path, tmp_path, calib=samples)
    assert report.ok
    assert report.float_report is not None and report.float_report.sqnr is not None
    assert report.float_report.sqnr > 30.0
    (note,) = (n for n in manifest["notes"] if n.startswith("quantized model"))
    assert "from the file" in note and "5 calibrated (" in note
    origins = {name: entry["origin"] for name, entry in manifest["calibration"]["tensors"].items()}
    assert origins["x"] == FILE and origins["end"] == "calibrated"


def test_another_build_from_its_own_manifest_gives_the_same_bytes(tmp_path: Path) -> None:
    model, shape = residual()
    path = quantize(model, shape, tmp_path, quant_format=QDQ, activation_type=INT8)
    first = mcugen.build(path, board="host", out=tmp_path / "a")
    second = mcugen.build(path, board="host", out=tmp_path / "b", calib=str(first.path / "quantized.json"))
    assert any("annotates all its tensors" in note for note in second.manifest["notes"])
    for file in (first.path / "src").iterdir():
        assert file.read_bytes() == (second.path / "src" / file.name).read_bytes()


# --- rescaling ---


def test_concat_of_two_scales_rescales_both_exactly() -> None:
    net = Annotated()
    a = net.qdq(net.input(1, 2, 8, 8, name="a"), 0.011, -5)
    b = net.qdq(net.input(1, 2, 8, 8, name="b"), 0.07, 20)
    spread = _spread(net, net.qdq(net.add("Concat", a, b, axis=1), 0.05, 3))
    integer = _integer(spread)
    assert _steps(integer) == 2
    rng = np.random.default_rng(0)
    feeds = {n: rng.integers(-128, 128, (50, *integer.type(n).shape), np.int8) for n in integer.inputs}
    (result,) = outputs(integer, feeds).values()
    for i, name in enumerate(spread.graph.inputs):
        quant = spread.graph.type(name).quant
        assert quant is not None
        real = np.float32(quant.scale[0]) * (feeds[name] - np.float32(quant.zero_point[0]))
        wanted = np.clip(np.rint(real / np.float32(0.05)) + 3, -128, 127)
        ours = result.reshape(50, *spread.graph.type(spread.graph.outputs[0]).shape)
        part = ours[..., 2 * i : 2 * i + 2, :, :] if ours.shape[2] == 4 else ours[..., 2 * i : 2 * i + 2]
        assert np.abs(part.reshape(-1) - wanted.reshape(-1)).max() <= 1
        assert (part.reshape(-1) != wanted.reshape(-1)).mean() < 0.02  # halves, to even or away from zero


def test_a_step_that_changes_nothing_is_no_step() -> None:
    nearly = float(np.nextafter(np.float32(0.05), np.float32(1)))
    assert alike(activation_quant(-1, 1), activation_quant(-1, 1))
    net = Annotated()
    x = net.qdq(net.qdq(net.dense(net.qdq(net.input(1, 8), 0.05), 8, 8), 0.05, 3), nearly, 3)
    assert _steps(_integer(_spread(net, x))) == 0
    net = Annotated()
    x = net.qdq(net.qdq(net.dense(net.qdq(net.input(1, 8), 0.05), 8, 8), 0.05, 3), 0.06, 3)
    assert _steps(_integer(_spread(net, x))) == 1


def test_a_tensor_with_other_readers_keeps_its_scale() -> None:
    """Brevitas: a pooling's output is read as it is by a layer, and through another quantizer by a Concat."""
    net = Annotated()
    x = net.add("MaxPool", net.qdq(net.input(1, 4, 8, 8), 0.01), kernel_shape=[2, 2])
    layer = net.qdq(net.conv(x, 4, 4, 1, 1), 0.1)
    spread = _spread(net, net.qdq(net.add("Concat", net.qdq(x, 0.1), layer, axis=1), 0.1))
    (pool,) = (n for n in spread.graph.nodes if n.op == "max_pool2d")
    assert spread.graph.type(pool.outputs[0]).scale == pytest.approx(0.01)
    assert _steps(_integer(spread)) == 1


@pytest.mark.parametrize(
    "codes", [((0.01, 0), (0.05, 0)), ((0.05, 0), (0.01, 0)), ((0.02, -128), (0.02, 127))]
)
def test_several_annotations_of_one_tensor_cut_off_only_what_each_of_them_does(
    codes: tuple[tuple[float, int], ...],
) -> None:
    net = Annotated()
    x = net.input(1, 300, name="x")
    integer = _integer(_spread(net, *(net.qdq(net.add("Neg", net.qdq(x, *c)), 0.05) for c in codes)))
    values = np.linspace(-6, 6, 300, dtype=np.float32)
    quant = integer.type("x").quant
    assert quant is not None
    q = np.clip(np.rint(values / quant.scale[0]) + quant.zero_point[0], -128, 127).astype(np.int8)
    found = outputs(integer, {"x": q[np.newaxis, np.newaxis]})
    for (scale, zero), name in zip(codes, integer.outputs, strict=True):
        own = scale * (np.clip(np.rint(values / np.float32(scale)) + zero, -128, 127) - zero)
        real = 0.05 * found[name].astype(np.float64).reshape(-1)
        assert np.abs(real + np.clip(own, -6.35, 6.4)).max() <= 0.08  # two roundings to 0.05, 0.03 and less


def test_a_clip_writes_the_scale_of_its_reader() -> None:
    """torchao: ReLU6 between an annotated convolution and a Concat without annotation."""
    net = Annotated()
    x = net.qdq(net.input(1, 4, 8, 8), 0.05, -128)
    wide = net.qdq(net.conv(x, 4, 4, 1, 1), 0.4)
    capped = net.add("Clip", wide, net.constant(0.0), net.constant(6.0))
    spread = _spread(
        net, net.qdq(net.add("ReduceMean", net.add("Concat", x, capped, axis=1), axes=[2, 3]), 0.02)
    )
    (concat,) = (n for n in spread.graph.nodes if n.op == "concat")
    assert spread.graph.type(concat.outputs[0]).scale == pytest.approx(0.05)
    assert _steps(_integer(spread)) == 0


def test_softmax_keeps_its_own_scale_and_is_rescaled() -> None:
    net = Annotated()
    x = net.add("Softmax", net.qdq(net.input(1, 10), 0.1), axis=-1)
    integer = _integer(_spread(net, net.qdq(x, 1 / 200, -128)))
    (softmax,) = (n for n in integer.nodes if n.op == "softmax")
    assert integer.type(softmax.outputs[0]).scale == 1 / 256
    assert integer.type(integer.outputs[0]).scale == pytest.approx(1 / 200)


def test_hard_swish_rounds_what_the_file_says() -> None:
    """TFLM's definition is a step off at -30, two steps below zero."""
    net = Annotated()
    scale, made = np.float32(0.10300828), np.float32(0.06394647)
    graph = _integer(
        _spread(net, net.qdq(net.add("HardSwish", net.qdq(net.input(1, 256), scale, -28)), made, -122))
    )
    q = np.arange(-128, 128, dtype=np.int8)[np.newaxis]
    (result,) = outputs(graph, {graph.inputs[0]: q}).values()
    x = np.float64(scale) * (q.astype(np.float64) + 28)
    wanted = np.clip(np.rint(x * np.clip(x + 3, 0, 6) / 6 / made) - 122, -128, 127)
    assert np.array_equal(result.reshape(-1), wanted.reshape(-1))


def test_the_shown_annotations_are_the_annotated_model() -> None:
    net = Annotated()
    y = net.qdq(net.conv(net.qdq(net.input(1, 2, 6, 6, name="x"), 0.03), 2, 3, 3, 3), 0.07, 5)
    graph = show_annotations(normalised(net.model(y)))
    samples: dict[str, Any] = {"x": smooth_samples(np.random.default_rng(0), 4, (2, 6, 6))}
    (chunk,) = run_samples(graph, samples, exact=False)
    steps = chunk[graph.outputs[0]] / np.float32(0.07)
    assert np.abs(steps - np.rint(steps)).max() < 1e-3


def test_every_conflicting_input_of_a_float_network_is_rescaled() -> None:
    net = Net()
    x = net.input(1, 8, name="x")
    graph = normalised(net.model(net.add("Concat", *(net.add(f, x) for f in ("Sigmoid", "Tanh")), x, axis=1)))
    samples = {"x": smooth_samples(np.random.default_rng(0), 64, (8,)) * np.float32(4.0)}
    integer = compile_graph(graph, calibrate(graph, samples))
    (concat,) = (n for n in integer.nodes if n.op == "concat")
    assert len({integer.type(i).quant for i in (*concat.inputs, *concat.outputs)}) == 1
