"""The recipe int16x8: whole networks, from ONNX and from .tflite."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tflite_model
from harness import check_kernel
from onnx_net import Net, normalised
from tflite_case import int16
from tflm import TensorSpec, run_model

import mcugen
from mcugen.calibrate.ranges import calibrate
from mcugen.errors import UnsupportedError
from mcugen.ir import DType, Graph
from mcugen.pipeline import compile_graph, finish_graph
from mcugen.quantize.ptq import quantize
from mcugen.quantize.recipes import Recipe
from mcugen.verify import verify

RANGES = Path(__file__).parents[2] / "benchmarks" / "ranges"


def network() -> tuple[Graph, dict[str, tuple[float, float]]]:
    """Convolutions, a sum, functions, a concat, a mean, a dense layer and a softmax."""
    net = Net(seed=4)
    x = net.conv(net.input(1, 3, 6, 6, name="x"), 3, 4, 3, 3, pads=[1, 1, 1, 1])
    y = net.add("Add", net.add("Sigmoid", x), net.add("Softplus", net.conv(x, 4, 4, 1, 1)))
    z = net.add("Concat", y, net.add("LeakyRelu", x), axis=1)
    logits = net.dense(net.mean(z, [2, 3]), 8, 5)
    graph = normalised(net.model(net.add("Softmax", logits, axis=-1)))
    samples = np.random.default_rng(5).standard_normal((32, 1, 3, 6, 6)).astype(np.float32)
    return graph, calibrate(graph, {"x": samples})


def test_a_network_of_int16() -> None:
    float_graph, ranges = network()
    graph = compile_graph(float_graph, ranges, Recipe.INT16X8)
    kinds = {
        graph.type(t).dtype for t in (*graph.inputs, *graph.outputs, *(n.outputs[0] for n in graph.nodes))
    }
    assert kinds == {DType.INT16}
    assert all(t.type.zero_point == 0 for t in graph.tensors.values() if t.data is None)
    biases = {graph.type(n.inputs[2]).dtype for n in graph.nodes if n.op in ("conv2d", "fully_connected")}
    assert biases == {DType.INT64}
    check_kernel(graph, kernel="conv2d_int16x8")


@pytest.mark.parametrize("op", ["conv2d", "unary", "concat", "mean", "softmax"])
def test_int16_among_int8(op: str) -> None:
    graph, ranges = network()
    types = {n.name: DType.INT16 for n in graph.nodes if n.op == op}
    check_kernel(finish_graph(quantize(graph, ranges, types)))
    others = dict.fromkeys(types, DType.INT8)
    check_kernel(finish_graph(quantize(graph, ranges, others, DType.INT16)))


@pytest.mark.parametrize("io", [None, DType.INT8, DType.UINT8, DType.FLOAT32])
def test_inputs_and_outputs(io: DType | None) -> None:
    graph = compile_graph(*network(), Recipe.INT16X8, io)
    assert {graph.type(t).dtype for t in (*graph.inputs, *graph.outputs)} == {io or DType.INT16}
    check_kernel(graph)


def test_what_has_no_int16_kernel_is_refused_or_float(tmp_path: Path) -> None:
    net = Net(seed=6)
    x = net.input(1, 3, 6, 6, name="x")
    model = tmp_path / "floor.onnx"
    model.write_bytes(net.model(net.add("Floor", net.conv(x, 3, 4, 3, 3))).SerializeToString())
    with pytest.raises(UnsupportedError, match="jumps"):
        mcugen.build(model, calib="random", out=tmp_path, quantize="int16x8")
    built = mcugen.build(model, calib="random", out=tmp_path, quantize="int16x8-float-fallback")
    assert any("computes in float32" in note and "jumps" in note for note in built.manifest["notes"])
    assert verify(built.path).ok


def test_a_tflite_file_equals_tflm(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    none = {"fused_activation_function": "NONE"}
    w = rng.integers(-127, 128, (4, 3, 3, 2)).astype(np.int8)
    dense = rng.integers(-127, 128, (5, 4)).astype(np.int8)
    tensors = [
        int16((1, 6, 6, 2), 0.001),
        TensorSpec(w.shape, "int8", [0.01, 0.02, 0.03, 0.005], axis=0, data=w),
        TensorSpec((4,), "int64", [1e-5, 2e-5, 3e-5, 5e-6], axis=0, data=rng.integers(-10000, 10000, 4)),
        int16((1, 6, 6, 4), 0.0015),
        int16((1, 3, 3, 4), 0.0015),
        TensorSpec((2,), "int32", data=[1, 2]),
        int16((1, 4), 0.001),
        TensorSpec(dense.shape, "int8", 0.01, data=dense),
        int16((1, 5), 0.002),
        int16((1, 5), 1 / 32768),
    ]
    convolution = {"padding": "SAME", "stride_h": 1, "stride_w": 1, "fused_activation_function": "RELU"}
    convolution |= {"dilation_h_factor": 1, "dilation_w_factor": 1}
    pool = {"padding": "VALID", "stride_h": 2, "stride_w": 2, "filter_height": 2, "filter_width": 2, **none}
    operators = [
        ("CONV_2D", convolution, (0, 1, 2), (3,)),
        ("MAX_POOL_2D", pool, (3,), (4,)),
        ("MEAN", {"keep_dims": False}, (4, 5), (6,)),
        ("FULLY_CONNECTED", {**none, "weights_format": "DEFAULT"}, (6, 7), (8,)),
        ("SOFTMAX", {"beta": 1.0}, (8,), (9,)),
    ]
    path = tmp_path / "net.tflite"
    path.write_bytes(tflite_model.model(tensors, operators, (0,), (9,)))
    built = mcugen.build(path, out=tmp_path)
    library = mcugen.HostLibrary(built.path)
    x = rng.integers(-32768, 32768, (10, 6, 6, 2)).astype(np.int16)
    (got,) = library.run_layers([x])[0]
    for sample, y in zip(x, got, strict=True):
        (wanted,) = run_model(path.read_bytes(), [sample[np.newaxis]])
        np.testing.assert_array_equal(y.reshape(-1), wanted.reshape(-1))


@pytest.mark.slow
def test_kws_answers_as_in_float(models: dict[str, Path], kws_test: Path, tmp_path: Path) -> None:
    built = mcugen.build(models["kws"], calib=RANGES / "kws.json", out=tmp_path, quantize="int16x8")
    report = verify(built.path, data=kws_test, model=models["kws"])
    assert report.ok and report.float_report is not None
    found = report.float_report
    assert found.accuracy is not None and found.float_accuracy is not None
    assert found.agreement >= 0.993
    assert found.accuracy >= found.float_accuracy - 0.002


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ad", "ic", "sww", "vww"])
def test_example_models(name: str, models: dict[str, Path], tmp_path: Path) -> None:
    built = mcugen.build(models[name], calib=RANGES / f"{name}.json", out=tmp_path, quantize="int16x8")
    assert verify(built.path).ok
