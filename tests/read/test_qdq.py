"""Quantized ONNX: files of onnxruntime, torchao and Brevitas, operators on integers, and files that contradict
themselves."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper
from onnx_net import Net, loaded, smooth_samples
from onnxruntime.quantization import QuantType, quantize_dynamic
from quantized_net import INT8, QDQ, QOPERATOR, UINT8, built, dense, one_d, quantize, residual

import mcugen
from mcugen.errors import McugenError, ModelError, UnsupportedError, UsageError
from mcugen.graph_file import load_graph
from mcugen.ir import Array
from mcugen.normalise import normalise
from mcugen.normalise.annotations import annotated
from mcugen.quantize.annotated import spread_annotations
from mcugen.read.float_check import check_import
from mcugen.read.onnx_import import import_model, import_onnx
from mcugen.verify import verify

ZERO = np.int8(0)
FILES = Path(__file__).parent / "quantized"


def _no_float(folder: Path) -> bool:
    sources = [re.sub(r"/\*.*?\*/", "", p.read_text(), flags=re.S) for p in (folder / "src").glob("*.c")]
    return not any(re.search(r"\b(float|double)\b", text) for text in sources)


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize(
    ("form", "activations", "weights"),
    [(QDQ, INT8, INT8), (QDQ, UINT8, UINT8), (QOPERATOR, UINT8, INT8), (QOPERATOR, INT8, INT8)],
)
@pytest.mark.parametrize(("network", "noise"), [(residual, 35.0), (one_d, 32.0), (dense, 45.0)])
def test_files_of_onnxruntime(
    network: Callable[[], Any],
    noise: float,
    form: Any,
    activations: Any,
    weights: Any,
    per_channel: bool,
    tmp_path: Path,
) -> None:
    model, shape = network()
    types = {"activation_type": activations, "weight_type": weights, "per_channel": per_channel}
    path = quantize(model, shape, tmp_path, quant_format=form, **types)
    manifest, report = built(path, tmp_path)
    assert report.ok
    assert report.float_report is not None and report.float_report.sqnr is not None
    assert report.float_report.agreement is not None
    assert report.float_report.sqnr > noise
    assert report.float_report.agreement >= 0.98  # drawn weights, so that classes lie close together
    assert _no_float(tmp_path / "out" / manifest["name"])
    assert any(
        note.startswith("quantized model: ranges") and "calibrated" not in note for note in manifest["notes"]
    )


@pytest.mark.parametrize(
    ("name", "noise"),
    [
        ("torchao_2d", 35.0),
        ("torchao_1d", 35.0),
        ("brevitas_2d", 35.0),
        ("brevitas_1d", 35.0),
        ("qat_whole", 30.0),  # of a softmax, in steps of 1/256
    ],
)
def test_files_of_torch(name: str, noise: float, tmp_path: Path) -> None:
    manifest, report = built(FILES / f"{name}.onnx", tmp_path)
    assert report.ok
    assert report.float_report is not None and report.float_report.sqnr is not None
    assert report.float_report.agreement is not None
    assert report.float_report.sqnr > noise
    assert report.float_report.agreement >= 0.99
    assert _no_float(tmp_path / "out" / manifest["name"])


def test_a_file_of_chosen_layers_needs_samples_for_the_others(tmp_path: Path, repository: Path) -> None:
    path = FILES / "qat_part.onnx"
    with pytest.raises(UsageError, match="--calib") as caught:
        mcugen.build(path, board="host", out=tmp_path / "out")
    assert 'tensor "x"' in str(caught.value)
    digits = np.load(repository / "examples" / "digits" / "digits_test.npz")["x"][:300, np.newaxis]
    np.save(tmp_path / "digits.npy", digits / np.float32(255))
    build = mcugen.build(path, board="host", out=tmp_path / "out", calib=str(tmp_path / "digits.npy"))
    report = verify(build.path, data=tmp_path / "digits.npy", model=path)
    assert report.ok
    assert report.float_report is not None and report.float_report.sqnr is not None
    assert report.float_report.sqnr > 35.0 and report.float_report.agreement == 1.0
    (note,) = (n for n in build.manifest["notes"] if n.startswith("quantized model"))
    assert "from the file" in note and "calibrated (x" in note, note
    assert not any("rescaling" in n for n in build.manifest["notes"]), build.manifest["notes"]
    assert _no_float(build.path)


@pytest.mark.parametrize("network", [residual, one_d, dense])
def test_int16_activations_make_a_16x8_library(network: Callable[[], Any], tmp_path: Path) -> None:
    model, shape = network()
    wide = {"activation_type": QuantType.QInt16, "extra_options": {"ActivationSymmetric": True}}
    manifest, report = built(quantize(model, shape, tmp_path, quant_format=QDQ, **wide), tmp_path)
    assert report.ok
    assert manifest["quantization"]["recipe"] == "int16x8" and manifest["inputs"][0]["dtype"] == "int16"
    assert report.float_report is not None and report.float_report.sqnr is not None
    assert report.float_report.sqnr > 50.0 and report.float_report.agreement == 1.0
    assert _no_float(tmp_path / "out" / manifest["name"])


def test_the_weights_are_the_integers_of_the_file(tmp_path: Path) -> None:
    model, shape = dense()
    path = quantize(model, shape, tmp_path, quant_format=QDQ, activation_type=INT8, per_channel=True)
    values = {i.name: numpy_helper.to_array(i) for i in onnx.load(path).graph.initializer}
    layers = [
        n for n in onnx.load(path).graph.node if n.op_type == "DequantizeLinear" and n.input[0] in values
    ]
    weights = [values[n.input[0]] for n in layers if values[n.input[0]].ndim == 2]
    biases = [values[n.input[0]] for n in layers if values[n.input[0]].dtype == np.int32]
    build = mcugen.build(path, board="host", out=tmp_path / "out")
    graph = load_graph(build.path / "quantized.graph.npz")
    ours = [n for n in graph.nodes if n.op == "fully_connected"]
    for node, w, b in zip(ours, weights, biases, strict=True):
        mine = graph.constant(node.inputs[1])
        assert np.array_equal(mine, w) or np.array_equal(mine, w.T)
        assert np.array_equal(graph.constant(node.inputs[2]), b)


@pytest.mark.parametrize(("network", "noise"), [(residual, 30.0), (one_d, 25.0), (dense, 25.0)])
def test_dynamic_quantization_is_calibrated(network: Callable[[], Any], noise: float, tmp_path: Path) -> None:
    model, shape = network()
    source, path = tmp_path / "float.onnx", tmp_path / "dynamic.onnx"
    onnx.save(model, source)
    quantize_dynamic(source, path)
    with pytest.raises(UsageError, match="calibration data"):
        mcugen.build(path, board="host", out=tmp_path / "out")
    samples = smooth_samples(np.random.default_rng(3), 64, shape)
    _, report = built(path, tmp_path, calib=samples)
    assert report.ok
    assert report.float_report is not None and report.float_report.sqnr is not None
    assert report.float_report.sqnr > noise


# --- single graphs ---


class Quantized(Net):
    """A net with quantized tensors."""

    def q(self, x: str, scale: Any, zero: Any = ZERO, **attrs: Any) -> str:
        return str(
            self.add("QuantizeLinear", x, self.constant(np.float32(scale)), self.constant(zero), **attrs)
        )

    def dq(self, x: str, scale: Any, zero: Any = ZERO, **attrs: Any) -> str:
        return str(
            self.add("DequantizeLinear", x, self.constant(np.float32(scale)), self.constant(zero), **attrs)
        )

    def qdq(self, x: str, scale: float, zero: Any = ZERO) -> str:
        return self.dq(self.q(x, scale, zero), scale, zero)


def _graph(model: onnx.ModelProto) -> Any:
    imported = import_model(loaded(model))
    graph = normalise(imported.graph)
    check_import(imported, graph)
    return graph


def _save(model: onnx.ModelProto, folder: Path) -> Path:
    onnx.save(model, folder / "net.onnx")
    return folder / "net.onnx"


def _conv(net: Quantized, x: str, weights: Array, *more: str, **attrs: Any) -> str:
    return str(net.add("Conv", x, net.dq(net.constant(weights), 0.01), *more, kernel_shape=[3, 3], **attrs))


def test_uint8_and_doubled_and_clipped_pairs_are_one_annotation(tmp_path: Path) -> None:
    net, rng = Quantized(), np.random.default_rng(0)
    x = net.qdq(net.qdq(net.input(1, 2, 6, 6), 0.02), 0.02)  # doubled
    y = net.add("Relu", _conv(net, x, rng.integers(-127, 128, (4, 2, 3, 3), np.int8)))
    code = 0.05, np.uint8(0)
    clipped = net.add(
        "Clip", net.q(y, *code), net.constant(np.uint8(0)), net.constant(np.uint8(15))
    )  # 4 bits
    graph = _graph(net.model(net.dq(clipped, *code)))
    assert [n.op for n in graph.nodes if n.op not in ("transpose", "reshape")] == ["conv2d"]
    (conv,) = (n for n in graph.nodes if n.op == "conv2d")
    quant = graph.type(conv.outputs[0]).quant
    assert quant is not None and (quant.scale, quant.zero_point) == ((float(np.float32(0.05)),), (-128,))
    assert conv.attrs["clamp"] == pytest.approx((0.0, 0.75))


def test_batch_normalization_behind_quantized_weights_changes_only_their_scales(tmp_path: Path) -> None:
    net, rng = Quantized(), np.random.default_rng(0)
    integers = rng.integers(-127, 128, (4, 2, 3, 3), np.int8)
    y = _conv(net, net.qdq(net.input(1, 2, 6, 6), 0.02), integers)
    numbers = ([1.5, -0.7, 0.0, 0.2], [0.1, 0.2, 0.3, 0.4], [0.0, 1.0, 0.5, 0.2], [0.5, 2.0, 1.0, 1.5])
    y = net.add("BatchNormalization", y, *(net.constant(np.array(v)) for v in numbers))
    path = _save(net.model(net.qdq(y, 0.05)), tmp_path)
    build = mcugen.build(path, board="host", out=tmp_path / "out", debug_layers=True)
    graph = load_graph(build.path / "net.graph.npz")
    (conv,) = (n for n in graph.nodes if n.op == "conv2d")
    signs = np.array([1, -1, 0, 1]).reshape(4, 1, 1, 1)
    kept = graph.constant(conv.inputs[1])
    expected = (integers.transpose(0, 2, 3, 1) * signs).astype(np.int8)
    assert np.array_equal(kept, expected[: len(kept)]) or np.array_equal(kept, expected[[0, 1, 3]])


def test_integer_operators_and_an_integer_output(tmp_path: Path) -> None:
    net, rng = Quantized(), np.random.default_rng(1)
    code = [net.constant(np.float32(0.03)), net.constant(np.uint8(120))]
    out = [net.constant(np.float32(0.1)), net.constant(np.uint8(100))]
    x = net.add("QuantizeLinear", net.input(1, 3, 8, 8), *code)
    padded = net.add("Pad", x, net.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1])), code[1])
    w = [
        net.constant(rng.integers(0, 255, (4, 3, 3, 3)).astype(np.uint8)),
        net.constant(np.float32(0.01)),
        net.constant(np.uint8(130)),
    ]
    y = net.add(
        "QLinearConv", padded, *code, *w, *out, net.constant(rng.integers(-900, 900, 4).astype(np.int32))
    )
    pooled = net.add("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2])
    flat = net.add(
        "Reshape", net.add("Transpose", pooled, perm=[0, 2, 3, 1]), net.constant(np.array([1, 64]))
    )
    m = [
        net.constant(rng.integers(-127, 128, (64, 5)).astype(np.int8)),
        net.constant(np.full(5, 0.01, np.float32)),
        net.constant(np.zeros(5, np.int8)),
    ]
    last = net.add(
        "QLinearMatMul", flat, *out, *m, net.constant(np.float32(0.3)), net.constant(np.uint8(128))
    )
    model = net.model(last)
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.UINT8
    manifest, report = built(_save(model, tmp_path), tmp_path)
    assert report.ok
    assert report.float_report is not None and report.float_report.sqnr is not None
    assert report.float_report.sqnr > 35.0
    assert manifest["outputs"][0]["dtype"] == "int8"
    assert manifest["outputs"][0]["zero_point"] == 0


def test_a_statically_quantized_operand_of_conv_integer(tmp_path: Path) -> None:
    net, rng = Quantized(), np.random.default_rng(2)
    x = net.q(net.input(1, 2, 6, 6), 0.02, np.uint8(128))
    w = net.constant(rng.integers(-127, 128, (4, 2, 3, 3)).astype(np.int8))
    sums = net.add("ConvInteger", x, w, net.constant(np.uint8(128)), kernel_shape=[3, 3])
    y = net.add("Mul", net.add("Cast", sums, to=TensorProto.FLOAT), net.constant(np.float32(0.02 * 0.01)))
    graph = _graph(net.model(net.qdq(y, 0.05)))
    assert {n.op for n in graph.nodes} <= {"conv2d", "transpose", "reshape"}
    assert annotated(graph)


# --- files that contradict themselves: all faults at once, by name ---


def _faults(model: onnx.ModelProto, kind: type[McugenError]) -> str:
    with pytest.raises(kind) as caught:
        import_model(loaded(model))
    return str(caught.value)


def test_contradictions_are_all_named() -> None:
    net, rng = Quantized(), np.random.default_rng(0)
    integers = rng.integers(-127, 128, (4, 2, 3, 3), np.int8)
    x = net.input(1, 2, 6, 6)
    other_scale = net.dq(net.q(x, 0.02), 0.03)
    other_point = net.dq(net.q(x, 0.02, np.uint8(3)), 0.02, np.uint8(4))
    zero = net.qdq(x, 0.0)
    many = net.add("DequantizeLinear", net.constant(integers), net.constant(np.ones(3)), axis=0, name="many")
    blocks = net.add(
        "Conv",
        x,
        net.add("DequantizeLinear", net.constant(integers), net.constant(np.array([1.0, 2.0])), axis=1),
        name="inner",
    )
    total = net.add("Sum", *(net.add("Relu", t) for t in (other_scale, other_point, zero)))
    model = net.model(total, net.add("Conv", x, many), blocks)
    text = _faults(model, ModelError)
    assert "4 nodes" in text or "5 nodes" in text
    for words in (
        "with scale 0.0299999993",
        "uint8 with scale 0.0199999996 and zero point 4",
        "the scale 0 is no positive number",
        "3 scales for axis 0",
        'onnx:Conv "inner": its weights\' scales differ inside of an output channel',
    ):
        assert words in text, text


def test_what_is_not_supported_is_all_named() -> None:
    net = Quantized()
    x = net.input(1, 2, 6, 6)
    odd = net.qdq(x, 0.02, np.int16(3))
    channels = net.add(
        "QuantizeLinear",
        x,
        net.constant(np.array([0.1, 0.2])),
        net.constant(np.zeros(2, np.int8)),
        axis=1,
        name="channels",
    )
    computed = net.add(
        "QuantizeLinear", x, net.add("ReduceMax", x, keepdims=0), net.constant(np.int8(0)), name="computed"
    )
    whole = net.add("Relu", net.q(x, 0.1), name="whole")
    model = net.model(odd, channels, computed, whole)
    text = _faults(model, UnsupportedError)
    for words in (
        "int16 activations have the zero point 0, not 3",
        '"channels": an activation with 2 scales',
        '"computed": its scale',
        '"whole": computes with the integers',
    ):
        assert words in text, text


@pytest.mark.parametrize("multiplier", [1, 2])
def test_depthwise_weights_of_9_bits(multiplier: int) -> None:
    net, rng = Quantized(), np.random.default_rng(0)
    x = net.qdq(net.input(1, 3, 6, 6), 0.02)
    weights = rng.integers(0, 256, (3 * multiplier, 1, 3, 3), np.uint8)
    weights.flat[:2] = 0, 255
    w = net.dq(net.constant(weights), 0.01, np.uint8(100))
    graph = _graph(net.model(net.qdq(str(net.add("Conv", x, w, kernel_shape=[3, 3], group=3)), 0.05)))
    (conv,) = (n for n in graph.nodes if n.op == "conv2d")
    assert conv.attrs["groups"] == 3 and graph.constant(conv.inputs[1]).shape == (3 * multiplier, 3, 3, 2)


def test_an_output_near_zero_is_compared_with_the_noise_of_rounding() -> None:
    net = Quantized()
    x = net.qdq(net.input(1, 64), 0.02)
    probabilities = net.qdq(str(net.add("Softmax", x, axis=-1)), 1 / 255, np.int8(-128))
    centred = net.qdq(str(net.add("Sub", probabilities, net.constant(1 / 64))), 1 / 255)
    _graph(net.model(net.add("ReduceMean", centred, axes=[1])))


@pytest.mark.parametrize("zero", [np.uint8(100), np.int8(-5)])
def test_integer_inputs_and_outputs(zero: Any, tmp_path: Path) -> None:
    net, rng = Quantized(), np.random.default_rng(0)
    x = net.input(1, 2, 6, 6)
    weights = rng.integers(-127, 128, (4, 2, 3, 3), np.int8)
    y = net.q(_conv(net, net.dq(x, 0.02, zero), weights), 0.05, zero)
    model = net.model(y)
    kind = TensorProto.UINT8 if zero.dtype == np.uint8 else TensorProto.INT8
    model.graph.input[0].type.tensor_type.elem_type = model.graph.output[0].type.tensor_type.elem_type = kind
    manifest, report = built(_save(model, tmp_path), tmp_path)
    (port,) = manifest["inputs"]
    assert (port["dtype"], port["zero_point"]) == ("int8", -28 if kind == TensorProto.UINT8 else -5)
    assert any("samples are real numbers" in note for note in manifest["notes"])
    assert report.ok and report.float_report is not None
    assert report.float_report.sqnr is not None and report.float_report.sqnr > 40.0


def test_an_integer_input_that_nothing_dequantizes_is_refused() -> None:
    net = Quantized()
    model = net.model(net.add("Relu", net.input(1, 4)))
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    assert "is UINT8, not FLOAT, and nothing dequantizes it" in _faults(model, ModelError)


def test_scales_that_are_no_numbers_are_named_by_node_together_with_the_rest() -> None:
    net, rng = Quantized(), np.random.default_rng(0)
    x = net.input(1, 2, 6, 6)
    integers = net.constant(rng.integers(-127, 128, (4, 2, 3, 3), np.int8))
    three = np.zeros(3, np.int8)
    odd = (
        *(net.qdq(x, scale) for scale in (np.nan, np.inf, -0.1, 3e38)),
        net.qdq(x, 0.1, three),
        net.add("Conv", x, net.dq(integers, np.full(0, 0.1), np.zeros(0, np.int8), axis=0)),
        net.add("Conv", x, net.dq(integers, [0.1, np.nan, 0.1, 0.1], np.zeros(4, np.int8), axis=0)),
        net.add("Conv", x, net.dq(integers, 0.1, np.uint16(0))),
    )
    with np.errstate(all="raise"):
        text = _faults(net.model(*(net.add("Relu", t) for t in odd)), ModelError)
    assert "8 nodes" in text
    for words in (
        "the scale nan is no positive number",
        "the scale inf is no positive number",
        "the scale -0.1 is no positive number",
        "the scale 3e+38 is too large for float32",
        "3 zero points for 1 scales",
        "0 scales for axis 0 of [4, 2, 3, 3], which has 4",
        ": a scale is no positive number",
        "the zero point is uint16, the data are int8",
    ):
        assert words in text, text


def test_the_files_own_types_are_named() -> None:
    net = Quantized()
    text = _faults(net.model(net.qdq(net.input(1, 4), 0.1, np.uint16(0))), UnsupportedError)
    assert "uint16 activations are not supported" in text


def test_integers_of_a_dynamic_scale_are_read_with_that_scale() -> None:
    net = Quantized()
    x = net.input(1, 8)
    y, scale, zero = net.add("DynamicQuantizeLinear", x, outputs=3)
    graph = _graph(net.model(net.add("Relu", net.add("DequantizeLinear", y, scale, zero))))
    assert [n.op for n in graph.nodes] == ["unary"]
    net.constants.clear()
    net.nodes = net.nodes[:1]
    text = _faults(net.model(net.add("Relu", net.dq(y, 1.0, np.uint8(0)))), ModelError)
    assert "with another scale than onnx:DynamicQuantizeLinear" in text


@pytest.mark.parametrize("form", ["nearest", "linear"])
def test_integers_are_resized(form: str, tmp_path: Path) -> None:
    """Nearest only moves integers; linear is between them, and onnxruntime cuts where we round."""
    net = Quantized()
    x = net.q(net.input(1, 2, 6, 6), 0.03)
    options = {"mode": form, "coordinate_transformation_mode": "asymmetric"}
    if form == "nearest":
        options["nearest_mode"] = "floor"
    y = net.add("Resize", x, "", net.constant(np.array([1.0, 1.0, 2.0, 2.0])), **options)
    model = net.model(net.dq(y, 0.03))
    if form == "linear":
        assert "computes with the integers" in _faults(model, UnsupportedError)
        return
    _, report = built(_save(model, tmp_path), tmp_path)
    assert report.ok and report.float_report is not None
    assert report.float_report.sqnr is not None and report.float_report.sqnr > 40.0


def test_8_and_16_bits_in_one_file_are_refused() -> None:
    net = Quantized()
    x = net.input(1, 2, 6, 6)
    model = net.model(net.qdq(x, 0.02, np.int16(0)), net.qdq(x, 0.02, ZERO))
    text = _faults(model, UnsupportedError)
    assert "its activation is int8, that of onnx:QuantizeLinear" in text and "or all to 16" in text


def test_mangled_files_are_refused_with_sentences(tmp_path: Path) -> None:
    model, shape = residual()
    path = quantize(model, shape, tmp_path, quant_format=QOPERATOR, per_channel=True)
    original, rng = onnx.load(path), np.random.default_rng(0)
    for _ in range(120):
        broken = onnx.ModelProto()
        broken.CopyFrom(original)
        for _ in range(rng.integers(1, 4)):
            node = broken.graph.node[rng.integers(len(broken.graph.node))]
            place = int(rng.integers(max(len(node.input), 1)))
            others = [i.name for i in broken.graph.initializer]
            what = rng.integers(4)
            if what == 0 and node.input:
                node.input[place] = others[rng.integers(len(others))]
            elif what == 1:
                del node.input[place:]
            elif what == 2:
                node.op_type = str(
                    rng.choice(["QuantizeLinear", "DequantizeLinear", "QLinearConv", "Clip", "Concat"])
                )
            else:
                tensor = broken.graph.initializer[rng.integers(len(others))]
                values = numpy_helper.to_array(tensor)
                tensor.CopyFrom(
                    numpy_helper.from_array(np.ravel(values)[: rng.integers(values.size + 1)], tensor.name)
                )
        with contextlib.suppress(ModelError, UnsupportedError):
            normalise(import_model(loaded(broken)).graph)


def _mangle(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    """One fault in a quantization or around it: scale, zero point, axis, a node left out, another's code or tensor."""
    graph = model.graph
    constants = {i.name: i for i in graph.initializer}
    coders = [n for n in graph.node if n.op_type in ("QuantizeLinear", "DequantizeLinear")]
    node, other = (coders[i] for i in rng.integers(len(coders), size=2))
    name = node.input[int(rng.integers(1, len(node.input)))] if len(node.input) > 1 else ""
    odd: list[Any] = [
        0,
        -1,
        np.nan,
        np.inf,
        1e-45,
        1e38,
        np.ones(0),
        np.ones(3),
        np.int8(3),
        np.int32(0),
        np.uint16(0),
    ]
    match rng.integers(7):
        case 0 | 1 if name in constants:
            value = np.asarray(odd[rng.integers(len(odd))])
            value = value.astype(np.float32) if value.dtype in (np.float64, np.int64) else value
            constants[name].CopyFrom(numpy_helper.from_array(value, name))
        case 2:
            kept = [a for a in node.attribute if a.name != "axis"]
            del node.attribute[:]
            axis = int(rng.choice([-9, -1, 0, 1, 3, 99]))
            node.attribute.extend([*kept, onnx.helper.make_attribute("axis", axis)])
        case 3:
            for reader in graph.node:
                for i, x in enumerate(reader.input):
                    if x == node.output[0]:
                        reader.input[i] = node.input[0]
        case 4:
            del node.input[2:]
        case 5:
            node.input[0] = graph.node[rng.integers(len(graph.node))].output[0]
        case _:
            del node.input[1:]
            node.input.extend(other.input[1:])


def test_mangled_annotations_are_refused_with_sentences(tmp_path: Path) -> None:
    model, shape = residual()
    path = quantize(model, shape, tmp_path, quant_format=QDQ, activation_type=INT8, per_channel=True)
    original, rng = onnx.load(path), np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        broken = onnx.ModelProto()
        broken.CopyFrom(original)
        for _ in range(rng.integers(1, 4)):
            _mangle(broken, rng)
        onnx.save(broken, tmp_path / "broken.onnx")
        try:
            imported = import_onnx(tmp_path / "broken.onnx")
            graph = normalise(imported.graph)
            check_import(imported, graph)  # what is understood is understood as the file says
            spread_annotations(graph)
        except (ModelError, UnsupportedError):
            refused += 1
    assert refused > 30


def test_recipes_of_other_types(tmp_path: Path) -> None:
    model, shape = dense()
    path = quantize(model, shape, tmp_path, quant_format=QDQ)
    with pytest.raises(UsageError, match="to int8, int16x8 to int16"):
        mcugen.build(path, board="host", out=tmp_path / "out", quantize="int16x8", calib="random")
    build = mcugen.build(path, board="host", out=tmp_path / "out", quantize="float32")
    assert any("leaves the scales of its activations aside" in note for note in build.manifest["notes"])
