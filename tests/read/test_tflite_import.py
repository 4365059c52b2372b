"""Importing .tflite: integer graphs that equal TFLM byte for byte, float graphs, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphs import random_int8
from tflite_model import model as build_model
from tflm import TensorSpec, build, run_model

from mcugen.check import check_graph
from mcugen.errors import McugenError, ModelError, UnsupportedError, UsageError
from mcugen.execute import run
from mcugen.ir import DType, Graph, Quant
from mcugen.quantize.ports import set_ports
from mcugen.read.tflite_entry import choose_entry
from mcugen.read.tflite_file import parse_tflite
from mcugen.read.tflite_import import ImportedTflite, import_entry, import_tflite

EXAMPLES = Path(__file__).resolve().parents[2] / "examples/tflite"
INT8 = sorted(p.stem for p in EXAMPLES.glob("*_int8.tflite"))
RNG = np.random.default_rng(20)


def imported(data: bytes, signature: str | None = None) -> ImportedTflite:
    file = parse_tflite(data, Path("model.tflite"))
    model = import_entry(choose_entry(file, signature), file)
    check_graph(model.graph, "import")
    return model


def samples(graph: Graph, count: int) -> list[list[np.ndarray[Any, Any]]]:
    """Random inputs, and inputs of one extreme value or of both."""
    rng = np.random.default_rng(7)
    shapes = [graph.type(name).shape for name in graph.inputs]
    drawn = [[random_int8(rng, shape) for shape in shapes] for _ in range(count)]
    drawn += [[np.full(shape, value, np.int8) for shape in shapes] for value in (-128, 127)]
    return [*drawn, [rng.choice([-128, 127], shape).astype(np.int8) for shape in shapes]]


def assert_equals_tflm(data: bytes, model: ImportedTflite, count: int = 4) -> None:
    assert model.quantized
    for inputs in samples(model.graph, count):
        expected = run_model(data, inputs)
        values = run(model.graph, dict(zip(model.graph.inputs, inputs, strict=True)))
        for name, want in zip(model.graph.outputs, expected, strict=True):
            assert values[name].dtype == want.dtype
            np.testing.assert_array_equal(values[name], want)


def check(
    op: str,
    options: Mapping[str, Any],
    inputs: Sequence[TensorSpec | None],
    outputs: Sequence[TensorSpec],
    count: int = 4,
) -> Graph:
    """Import the file of one operator and compare it with TFLM."""
    data = build(op, options, inputs, outputs)
    model = imported(data)
    assert_equals_tflm(data, model, count)
    return model.graph


def int8(shape: Sequence[int], scale: float = 0.1, zero_point: int = -9) -> TensorSpec:
    return TensorSpec(tuple(shape), "int8", scale, zero_point)


def ints(values: Any) -> TensorSpec:
    data = np.asarray(values, np.int32)
    return TensorSpec(data.shape, "int32", data=data)


def weights(shape: tuple[int, ...], axis: int | None) -> TensorSpec:
    """Random int8 weights, per channel of `axis` or per tensor."""
    data = RNG.integers(-127, 128, shape).astype(np.int8)
    scale = 0.01 if axis is None else RNG.uniform(0.002, 0.02, shape[axis]).tolist()
    return TensorSpec(shape, "int8", scale, 0, axis or 0, data)


def bias(w: TensorSpec, count: int, x: TensorSpec) -> TensorSpec:
    assert isinstance(x.scale, float)
    scale = (np.atleast_1d(np.asarray(w.scale)) * x.scale).tolist()
    return TensorSpec((count,), "int32", scale, 0, 0, RNG.integers(-3000, 3000, count).astype(np.int32))


# --- whole models ---


@pytest.mark.parametrize("name", INT8)
def test_int8_models_equal_tflm(name: str) -> None:
    path = EXAMPLES / f"{name}.tflite"
    model = import_tflite(path)
    check_graph(model.graph, "import")
    assert_equals_tflm(path.read_bytes(), model, 2)


def test_tensors_have_the_files_names_and_quantization() -> None:
    model = import_tflite(EXAMPLES / "kws_int8.tflite")
    graph, file = model.graph, model.file.subgraphs[0]
    tensors = {t.name: t for t in file.tensors}
    assert graph.inputs == ("input_1",)
    assert [graph.tensors[o].source for o in graph.outputs] == ["Identity"]
    assert len(graph.nodes) == 13
    assert graph.nodes[0].origin == "tflite:CONV_2D #0"
    for name, tensor in graph.tensors.items():
        assert tensor.type.dtype.value == tensors[name].dtype
        assert tensor.shape == tensors[name].shape
        assert tensor.type.quant is not None
        assert tensor.type.quant.scale == tensors[name].scale
        assert tensor.type.quant.zero_point == tensors[name].zero_point
    dense = graph.type(graph.nodes[-2].inputs[1]).quant
    assert dense is not None and len(dense.scale) == 1 and dense.axis is None  # one scale stays one number
    assert model.notes == ("input 'input_1': the dynamic batch becomes 1",)


def test_a_float_model_becomes_a_float_graph() -> None:
    path = EXAMPLES / "hello_world_float.tflite"
    model = import_tflite(path)
    assert not model.quantized
    x = np.array([[1.25]], np.float32)
    (want,) = run_model(path.read_bytes(), [x])
    values = run(model.graph, {model.graph.inputs[0]: x})
    np.testing.assert_allclose(values[model.graph.outputs[0]], want, atol=1e-5)


def test_dynamic_range_weights_become_float() -> None:
    model = import_tflite(EXAMPLES / "kws_dynrange.tflite")
    file = {t.name: t for t in model.file.subgraphs[0].tensors}
    assert not model.quantized
    assert any("read as float32" in note for note in model.notes)
    assert {t.type.dtype for t in model.graph.tensors.values()} == {DType.FLOAT32}
    tensor = model.graph.tensors[model.graph.nodes[0].inputs[1]]
    stored = file[tensor.source]
    assert stored.dtype == "int8" and stored.data is not None and tensor.data is not None
    scale = np.array(stored.scale, np.float32).reshape(-1, 1, 1, 1)
    np.testing.assert_array_equal(tensor.data, stored.data.astype(np.float32) * scale)


@pytest.mark.parametrize("name", ["hello_world_float", "kws_dynrange"])
def test_float_graphs_run(name: str) -> None:
    graph = import_tflite(EXAMPLES / f"{name}.tflite").graph
    x = np.random.default_rng(1).normal(size=graph.type(graph.inputs[0]).shape).astype(np.float32)
    y = run(graph, {graph.inputs[0]: x})[graph.outputs[0]]
    assert y.shape == graph.type(graph.outputs[0]).shape and np.isfinite(y).all()


# --- operators ---

CONVOLUTIONS = [
    # padding, stride (h, w), dilation (h, w), activation, per channel, image (h, w, c)
    ("SAME", (1, 1), (1, 1), "NONE", True, (8, 7, 3)),
    ("SAME", (2, 2), (1, 1), "RELU", True, (8, 7, 3)),
    ("SAME", (2, 1), (1, 1), "RELU6", False, (5, 9, 4)),
    ("VALID", (1, 1), (2, 1), "RELU_N1_TO_1", True, (9, 8, 2)),
    ("VALID", (3, 2), (1, 1), "NONE", False, (10, 7, 5)),
    ("SAME", (1, 1), (2, 3), "RELU", True, (11, 12, 1)),
]


def convolution(padding: str, image: int, kernel: int, stride: int, dilation: int) -> int:
    extent = (kernel - 1) * dilation + 1
    return -(-image // stride) if padding == "SAME" else (image - extent) // stride + 1


@pytest.mark.parametrize(
    ("padding", "stride", "dilation", "activation", "per_channel", "image"), CONVOLUTIONS
)
@pytest.mark.parametrize("op", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_convolutions(
    op: str,
    padding: str,
    stride: tuple[int, int],
    dilation: tuple[int, int],
    activation: str,
    per_channel: bool,
    image: tuple[int, int, int],
) -> None:
    h, w, c = image
    kh, kw = 3, 2
    options = {
        "padding": padding,
        "stride_h": stride[0],
        "stride_w": stride[1],
        "dilation_h_factor": dilation[0],
        "dilation_w_factor": dilation[1],
        "fused_activation_function": activation,
    }
    if op == "CONV_2D":
        outputs, axis = 5, 0
        kernel = weights((outputs, kh, kw, c), axis if per_channel else None)
    else:
        outputs, axis = 2 * c, 3
        options["depth_multiplier"] = 2
        kernel = weights((1, kh, kw, outputs), axis if per_channel else None)
    x = int8((1, h, w, c), 0.05, 17)
    ho = convolution(padding, h, kh, stride[0], dilation[0])
    wo = convolution(padding, w, kw, stride[1], dilation[1])
    y = int8((1, ho, wo, outputs), 0.03, -20)
    graph = check(op, options, [x, kernel, bias(kernel, outputs, x)], [y])
    quant = graph.type(graph.nodes[0].inputs[1]).quant
    assert quant is not None and quant.axis == (axis if per_channel else None)


def test_grouped_convolution_without_bias() -> None:
    kernel = weights((6, 3, 3, 2), 0)
    options = {"padding": "SAME", "stride_h": 1, "stride_w": 1}
    graph = check("CONV_2D", options, [int8((1, 6, 5, 4)), kernel], [int8((1, 6, 5, 6), 0.2)])
    assert graph.nodes[0].attrs["groups"] == 2
    assert graph.type(graph.nodes[0].inputs[2]).dtype == DType.INT32


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize(
    ("x", "keep", "y"),
    [((1, 12), False, (1, 5)), ((1, 2, 2, 12), True, (1, 2, 2, 5)), ((1, 3, 2, 6), False, (3, 5))],
)
def test_fully_connected(
    per_channel: bool, with_bias: bool, x: tuple[int, ...], keep: bool, y: tuple[int, ...]
) -> None:
    given = int8(x, 0.04, 5)
    kernel = weights((5, 12), 0 if per_channel else None)
    last = bias(kernel, 5, given) if with_bias else None
    options = {"keep_num_dims": keep, "fused_activation_function": "RELU" if with_bias else "NONE"}
    check("FULLY_CONNECTED", options, [given, kernel, last], [int8(y, 0.07, -30)])


def test_multipliers_that_force_halves() -> None:
    """Scales whose products are no float32: the multiplier must be computed in double."""
    for x_scale, w_scale, y_scale in ((0.1, 0.2, 0.02), (1 / 3, 0.3, 0.1), (0.7, 0.011, 0.0077)):
        kernel = TensorSpec((1, 1), "int8", w_scale, 0, 0, np.array([[127]], np.int8))
        check("FULLY_CONNECTED", {}, [int8((1, 1), x_scale, 0), kernel, None], [int8((1, 1), y_scale, 0)], 12)


@pytest.mark.parametrize("op", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
@pytest.mark.parametrize(
    ("padding", "size", "stride", "activation"),
    [
        ("SAME", (3, 3), (2, 2), "NONE"),
        ("VALID", (2, 3), (1, 2), "RELU"),
        ("SAME", (4, 2), (1, 1), "RELU6"),
        ("VALID", (9, 7), (1, 1), "NONE"),
    ],
)
def test_pools(
    op: str, padding: str, size: tuple[int, int], stride: tuple[int, int], activation: str
) -> None:
    options = {
        "padding": padding,
        "filter_height": size[0],
        "filter_width": size[1],
        "stride_h": stride[0],
        "stride_w": stride[1],
        "fused_activation_function": activation,
    }
    ho, wo = (convolution(padding, i, k, s, 1) for i, k, s in zip((9, 7), size, stride, strict=True))
    check(op, options, [int8((1, 9, 7, 3))], [int8((1, ho, wo, 3))])


@pytest.mark.parametrize("op", ["ADD", "SUB", "MUL"])
@pytest.mark.parametrize(
    ("a", "b", "activation"),
    [
        ((1, 3, 4, 5), (1, 3, 4, 5), "NONE"),
        ((1, 3, 4, 5), (5,), "RELU"),
        ((1, 3, 1, 5), (1, 3, 4, 5), "RELU6"),
    ],
)
def test_binary(op: str, a: tuple[int, ...], b: tuple[int, ...], activation: str) -> None:
    options, y = {"fused_activation_function": activation}, int8((1, 3, 4, 5), 0.15, 3)
    check(op, options, [int8(a, 0.11, -3), int8(b, 0.04, 20)], [y])
    constant = TensorSpec(b, "int8", 0.04, 20, data=random_int8(RNG, b))
    check(op, options, [int8((1, 3, 4, 5), 0.11, -3), constant], [y])


FUNCTIONS: list[tuple[str, dict[str, Any], TensorSpec]] = [
    ("LOGISTIC", {}, int8((1, 256), 1 / 256, -128)),
    ("TANH", {}, int8((1, 256), 1 / 128, 0)),
    ("RELU", {}, int8((1, 256), 0.03, -100)),
    ("RELU6", {}, int8((1, 256), 0.05, 12)),
    ("RELU6", {}, int8((1, 256), 0.03, -100)),
    ("LEAKY_RELU", {"alpha": 0.1}, int8((1, 256), 0.06, 10)),
    ("LEAKY_RELU", {"alpha": -0.3}, int8((1, 256), 0.04, 10)),
    ("HARD_SWISH", {}, int8((1, 256), 0.04, -40)),
    ("SOFTMAX", {"beta": 1.0}, int8((1, 256), 1 / 256, -128)),
    ("QUANTIZE", {}, int8((1, 256), 0.09, 30)),
    ("QUANTIZE", {}, int8((1, 256), 0.0123, -90)),
]


@pytest.mark.parametrize(("op", "options", "y"), FUNCTIONS)
def test_functions(op: str, options: dict[str, Any], y: TensorSpec) -> None:
    check(op, options, [int8((1, 256), 0.05, 12)], [y], 2)


MOVES: list[tuple[str, dict[str, Any], list[TensorSpec], list[tuple[int, ...]]]] = [
    ("RESHAPE", {}, [int8((1, 4, 6)), ints((1, -1, 3))], [(1, 8, 3)]),
    ("RESHAPE", {"new_shape": [1, 24]}, [int8((1, 4, 6))], [(1, 24)]),
    ("SQUEEZE", {"squeeze_dims": [1]}, [int8((1, 1, 6, 1))], [(1, 6, 1)]),
    ("SQUEEZE", {"squeeze_dims": [-1, 1]}, [int8((1, 1, 6, 1))], [(1, 6)]),
    ("EXPAND_DIMS", {}, [int8((1, 6)), ints([-1])], [(1, 6, 1)]),
    ("TRANSPOSE", {}, [int8((1, 2, 3, 4)), ints((0, 3, 1, 2))], [(1, 4, 2, 3)]),
    ("PAD", {}, [int8((1, 3, 4, 2)), ints([[0, 0], [1, 2], [0, 3], [0, 0]])], [(1, 6, 7, 2)]),
    ("SLICE", {}, [int8((1, 5, 6)), ints((0, 1, 2)), ints((1, 3, -1))], [(1, 3, 4)]),
    ("SPLIT", {"num_splits": 3}, [ints([2]), int8((1, 4, 6))], [(1, 4, 2)] * 3),
    ("SPLIT_V", {"num_splits": 2}, [int8((1, 4, 6)), ints((1, -1)), ints([1])], [(1, 1, 6), (1, 3, 6)]),
    (
        "STRIDED_SLICE",
        {"begin_mask": 2, "end_mask": 4},
        [int8((1, 5, 6)), ints((0, 3, 1)), ints((1, 4, 0)), ints((1, 1, 2))],
        [(1, 4, 3)],
    ),
    (
        "STRIDED_SLICE",
        {"shrink_axis_mask": 2},
        [int8((1, 5, 6)), ints((0, -2, 5)), ints((1, -1, -7)), ints((1, 1, -1))],
        [(1, 6)],
    ),
    ("CONCATENATION", {"axis": -1}, [int8((1, 4, 2)), int8((1, 4, 3))], [(1, 4, 5)]),
    ("CONCATENATION", {"axis": 1}, [int8((1, 1, 2)), int8((1, 4, 2)), int8((1, 2, 2))], [(1, 7, 2)]),
]


@pytest.mark.parametrize(("op", "options", "inputs", "outputs"), MOVES)
def test_movements(
    op: str, options: dict[str, Any], inputs: list[TensorSpec], outputs: list[tuple[int, ...]]
) -> None:
    check(op, options, inputs, [int8(shape) for shape in outputs], 1)


def test_padding_with_a_value() -> None:
    value = TensorSpec((1,), "int8", 0.1, -9, data=[77])
    check("PADV2", {}, [int8((1, 3, 2)), ints([[0, 0], [1, 2], [0, 3]]), value], [int8((1, 6, 5))], 1)


def test_concatenation_of_different_scales_is_requantized() -> None:
    """TFLM refuses it; here QUANTIZE comes first, as in files of newer converters."""
    inputs = [int8((1, 4), 0.1, 3), int8((1, 4), 0.05, 7)]
    graph = imported(build("CONCATENATION", {"axis": 1}, inputs, [int8((1, 8), 0.1, 3)])).graph
    assert [node.op for node in graph.nodes] == ["requantize", "concat"]


# --- what is refused, in which words ---


def refused(error: type[McugenError], data: bytes, *words: str) -> None:
    with pytest.raises(error) as caught:
        imported(data)
    for word in words:
        assert word in str(caught.value)


def test_unknown_operators_are_named() -> None:
    data = build("CUMSUM", {}, [int8((1, 4)), ints([1])], [int8((1, 4))])
    refused(UnsupportedError, data, "tflite:CUMSUM #0", "no such operator", "fix:")


def test_other_types_of_activations() -> None:
    data = build("RELU", {}, [TensorSpec((1, 4), "uint8", 0.1)], [TensorSpec((1, 4), "uint8", 0.1)])
    refused(UnsupportedError, data, "2 activations ('t0', 't1'): are uint8", "full integer quantization")


def test_int16_activations_need_a_scale() -> None:
    data = build("RELU", {}, [TensorSpec((1, 4), "int16")], [TensorSpec((1, 4), "int16")])
    refused(ModelError, data, "is int16, but has not one scale")


def test_float_among_int8() -> None:
    x = TensorSpec((1, 4), "float32")
    data = build("MUL", {}, [x, int8((1, 4))], [x])
    refused(UnsupportedError, data, "tflite:MUL #0: works on float32 and integer activations at once")


def test_weights_must_be_constant_symmetric_and_of_the_right_axis() -> None:
    x, y = int8((1, 4, 4, 2)), int8((1, 4, 4, 3))
    options = {"padding": "SAME", "stride_h": 1, "stride_w": 1}
    refused(
        UnsupportedError, build("CONV_2D", options, [x, int8((3, 1, 1, 2))], [y]), "#0: weights: computed"
    )
    shifted = TensorSpec((3, 1, 1, 2), "int8", 0.1, 4, data=np.ones((3, 1, 1, 2)))
    refused(UnsupportedError, build("CONV_2D", options, [x, shifted], [y]), "zero point other than 0")
    other_axis = TensorSpec((3, 1, 1, 2), "int8", [0.1, 0.2], 0, 3, data=np.ones((3, 1, 1, 2)))
    refused(ModelError, build("CONV_2D", options, [x, other_axis], [y]), "axis 3 instead of 0")


def test_shapes_that_do_not_fit() -> None:
    kernel = weights((5, 12), None)
    refused(
        ModelError, build("FULLY_CONNECTED", {}, [int8((1, 11)), kernel, None], [int8((1, 5))]), "do not fit"
    )
    refused(ModelError, build("RELU", {}, [int8((1, 11))], [int8((1, 5))]), "is declared [1, 5]")
    options = {"padding": "VALID", "stride_h": 0, "stride_w": 1}
    conv = build("CONV_2D", options, [int8((1, 4, 4, 2)), weights((3, 1, 1, 2), 0)], [int8((1, 4, 4, 3))])
    refused(ModelError, conv, "must lie in 1 .. 65536")


def test_softmax_has_one_output_quantization() -> None:
    refused(ModelError, build("SOFTMAX", {"beta": 1.0}, [int8((1, 4))], [int8((1, 4))]), "instead of 1/256")


def test_signatures() -> None:
    path = EXAMPLES / "sww_int8.tflite"
    assert import_tflite(path, "serving_default").graph.inputs == ("serving_default_input_1:0",)
    with pytest.raises(UsageError, match="'serving_default'"):
        import_tflite(path, "train")
    with pytest.raises(UsageError, match="signatures: none"):
        import_tflite(EXAMPLES / "kws_int8.tflite", "serving_default")


# --- graphs of several operators ---

FLOAT = TensorSpec((1, 4), "float32")


def test_inputs_and_outputs_keep_their_types() -> None:
    """Float32 and uint8 at the border of an int8 model, against TFLM; asked for int8 the conversions vanish."""
    x, y = int8((1, 4), 0.1, 3), int8((1, 4), 0.2, -7)
    operators = [("QUANTIZE", {}, (0,), (1,)), ("RELU", {}, (1,), (2,)), ("DEQUANTIZE", {}, (2,), (3,))]
    data = build_model([FLOAT, x, y, FLOAT], operators, [0], [3])
    model = imported(data)
    assert model.quantized and [n.op for n in model.graph.nodes] == ["quantize", "unary", "dequantize"]
    assert "--io int8" in model.notes[0]
    feed = np.array([[-1.0, 0.25, 0.05, 40.0]], np.float32)
    np.testing.assert_array_equal(run(model.graph, {"t0": feed})["t3"], run_model(data, [feed])[0])
    plain = set_ports(model.graph, DType.INT8)
    assert [node.op for node in plain.nodes] == ["unary"]
    assert plain.type(plain.inputs[0]).quant == Quant((float(np.float32(0.1)),), (3,))
    assert plain.type(plain.outputs[0]).quant == Quant((float(np.float32(0.2)),), (-7,))
    bytes_ = [TensorSpec((1, 4), "uint8", 0.1, 131), x, y, TensorSpec((1, 4), "uint8", 0.2, 121)]
    operators[-1] = ("QUANTIZE", {}, (2,), (3,))
    data = build_model(bytes_, operators, [0], [3])
    model = imported(data)
    assert [node.op for node in model.graph.nodes] == ["requantize", "unary", "requantize"]
    q = np.array([[0, 131, 200, 255]], np.uint8)
    np.testing.assert_array_equal(run(model.graph, {"t0": q})["t3"], run_model(data, [q])[0])


def test_a_float_part_inside_an_int8_model() -> None:
    x = int8((1, 4))
    operators = [("RELU", {}, (0,), (1,)), ("DEQUANTIZE", {}, (1,), (2,)), ("EXP", {}, (2,), (3,))]
    model = imported(build_model([x, x, FLOAT, FLOAT], operators, [0], [3]))
    assert model.quantized and [n.op for n in model.graph.nodes] == ["unary", "dequantize", "unary"]
    assert model.graph.type(model.graph.outputs[0]).dtype is DType.FLOAT32


def test_float16_weights_are_unpacked() -> None:
    stored = RNG.normal(size=(2, 4)).astype(np.float16)
    half = TensorSpec((2, 4), "float16", data=stored)
    operators = [("DEQUANTIZE", {}, (1,), (2,)), ("FULLY_CONNECTED", {}, (0, 2, -1), (3,))]
    tensors = [FLOAT, half, TensorSpec((2, 4), "float32"), TensorSpec((1, 2), "float32")]
    model = imported(build_model(tensors, operators, [0], [3]))
    assert not model.quantized and [node.op for node in model.graph.nodes] == ["fully_connected"]
    x = RNG.normal(size=(1, 4)).astype(np.float32)
    y = run(model.graph, {"t0": x})[model.graph.outputs[0]]
    np.testing.assert_allclose(y, x @ stored.astype(np.float32).T, rtol=1e-6)


def test_computed_shapes_are_folded() -> None:
    """SHAPE -> STRIDED_SLICE -> PACK with -1 -> RESHAPE, as Keras' Reshape and Flatten give with an open batch."""
    scalar, x = TensorSpec((), "int32"), int8((1, 3, 4))
    tensors = [
        x,
        TensorSpec((3,), "int32"),
        *(ints([v]) for v in (0, 1, 1)),
        scalar,
        ints([-1]),
        TensorSpec((2,), "int32"),
        int8((1, 1)),
    ]
    operators = [
        ("SHAPE", {}, (0,), (1,)),
        ("STRIDED_SLICE", {"shrink_axis_mask": 1}, (1, 2, 3, 4), (5,)),
        ("PACK", {"values_count": 2}, (5, 6), (7,)),
        ("RESHAPE", {}, (0, 7), (8,)),
    ]

    def open_shapes(made: Any, schema: Any) -> None:
        made.subgraphs[0].tensors[6].shape = []
        made.subgraphs[0].tensors[0].shapeSignature = [-1, 3, 4]
        made.subgraphs[0].tensors[8].shapeSignature = [-1, -1]

    model = imported(build_model(tensors, operators, [0], [8], open_shapes))
    assert [node.op for node in model.graph.nodes] == ["reshape"]
    assert model.graph.type(model.graph.outputs[0]).shape == (1, 12)
    assert model.notes == ("input 't0': the dynamic batch becomes 1",)


@pytest.mark.parametrize("op", ["RELU", "LOGISTIC", "ADD", "PAD", "FULLY_CONNECTED"])
def test_operators_on_quantized_constants_are_computed(op: str) -> None:
    """Their values are TFLM's, and what reads them sees a constant."""
    size = 2 if op == "PAD" else 4
    constant = TensorSpec((1, size), "int8", 0.1, -9, data=random_int8(RNG, (1, size)))
    made = {"LOGISTIC": TensorSpec((1, 4), "int8", 1 / 256, -128), "PAD": int8((1, 4))}
    w = weights((4, 4), None)
    more = {"ADD": [constant], "PAD": [ints([[0, 0], [1, 1]])], "FULLY_CONNECTED": [w, bias(w, 4, constant)]}
    tensors = [int8((1, 4)), constant, *more.get(op, []), made.get(op, int8((1, 4), 0.05)), int8((1, 4), 0.2)]
    known, last = len(tensors) - 2, len(tensors) - 1
    operators = [(op, {}, range(1, known), [known]), ("ADD", {}, [0, known], [last])]
    data = build_model(tensors, operators, [0], [last])
    model = imported(data)
    assert [node.op for node in model.graph.nodes] == ["add"]
    assert_equals_tflm(data, model)


def test_open_dimensions_beyond_the_batch_are_refused() -> None:
    def open_shape(made: Any, schema: Any) -> None:
        made.subgraphs[0].tensors[0].shapeSignature = [-1, -1]

    data = build_model([int8((1, 4)), int8((1, 4))], [("RELU", {}, (0,), (1,))], [0], [1], open_shape)
    refused(UnsupportedError, data, "input 't0': has the dynamic shape [-1, -1]")


def test_dead_operators_are_dropped_and_all_others_named() -> None:
    x = int8((1, 4))
    operators = [
        ("RELU", {}, (0,), (1,)),
        ("RFFT2D", {}, (0,), (2,)),  # nobody needs it
        ("COMPLEX_ABS", {}, (1,), (3,)),
        ("WHILE", {}, (3,), (4,)),
        ("REAL", {}, (4,), (5,)),
    ]
    data = build_model([x] * 6, operators, [0], [5])
    with pytest.raises(UnsupportedError) as caught:
        imported(data)
    assert [fault.where for fault in caught.value.faults] == [
        "tflite:COMPLEX_ABS #2",
        "tflite:WHILE #3",
        "tflite:REAL #4",
    ]
    assert "control flow" in str(caught.value)


def test_custom_operators_are_named() -> None:
    def custom(made: Any, schema: Any) -> None:
        code = made.operatorCodes[0]
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
        code.customCode = "MyFilter"

    data = build_model([int8((1, 4))] * 2, [("RELU", {}, (0,), (1,))], [0], [1], custom)
    refused(UnsupportedError, data, "tflite:MyFilter #0: is a custom operator")


def test_sparse_and_string_tensors() -> None:
    def edit(made: Any, schema: Any) -> None:
        made.subgraphs[0].tensors[1].sparsity = schema.SparsityParametersT()
        made.subgraphs[0].tensors[2].type = schema.TensorType.STRING

    tensors = [int8((1, 4)), weights((2, 4), None), ints([1, 2]), int8((1, 2))]
    data = build_model(tensors, [("FULLY_CONNECTED", {}, (0, 1, 2), (3,))], [0], [3], edit)
    refused(UnsupportedError, data, "tensor 't1': is sparse", "tensor 't2': holds string elements")


def test_outputs_get_tensors_of_their_own() -> None:
    """An output that is an input, one that a reshape without effect gives, and one that is listed twice."""
    x = int8((1, 4))
    operators = [("RELU", {}, (0,), (1,)), ("RESHAPE", {"new_shape": [1, 4]}, (1,), (2,))]
    graph = imported(build_model([x, x, x], operators, [0], [0, 2, 1, 2])).graph
    made = [output for node in graph.nodes for output in node.outputs]
    assert len(set(graph.outputs)) == 4 and set(graph.outputs) <= set(made)
    values = run(graph, {"t0": np.array([[-100, -9, 0, 100]], np.int8)})
    expected = [[-100, -9, 0, 100], *[[-9, -9, 0, 100]] * 3]
    assert [values[name][0].tolist() for name in graph.outputs] == expected


def test_constant_outputs_are_refused() -> None:
    tensors = [int8((1, 4)), int8((1, 4)), ints([1, 2])]
    data = build_model(tensors, [("RELU", {}, (0,), (1,))], [0], [1, 2])
    refused(UnsupportedError, data, 'output "t2"', "is a constant")
    stored = TensorSpec((1, 4), "int8", 0.1, -9, data=np.ones((1, 4)))
    data = build_model([int8((1, 4)), stored, int8((1, 4))], [("RELU", {}, (1,), (2,))], [0], [2])
    refused(UnsupportedError, data, 'output "t2"', "is a constant")


def two_subgraphs(signatures: Sequence[str]) -> bytes:
    def edit(made: Any, schema: Any) -> None:
        other = schema.SubGraphT(
            tensors=made.subgraphs[0].tensors,
            inputs=[1],
            outputs=[2],
            operators=made.subgraphs[0].operators[1:],
        )
        made.subgraphs = [made.subgraphs[0], other]
        made.signatureDefs = [
            schema.SignatureDefT(
                inputs=[schema.TensorMapT(name="in", tensorIndex=i)],
                outputs=[schema.TensorMapT(name="out", tensorIndex=2)],
                signatureKey=key,
                subgraphIndex=i,
            )
            for i, key in enumerate(signatures)
        ]

    x = int8((1, 4))
    return build_model([x, x, x], [("RELU", {}, (0,), (1,)), ("ABS", {}, (1,), (2,))], [0], [2], edit)


def test_one_of_several_signatures() -> None:
    data = two_subgraphs(("both", "last"))
    assert imported(data, "both").graph.inputs == ("t0",)
    assert imported(data, "last").graph.inputs == ("t1",)
    refused(UsageError, data, "several signatures", "--signature: 'both', 'last'")
    refused(UsageError, two_subgraphs(()), "several subgraphs", "convert one function alone")


def test_missing_inputs_and_surplus_outputs_of_operators() -> None:
    x = int8((1, 4))
    for op, read, written, why in (
        ("RELU", (), (1,), "input 0 is missing"),
        ("SOFTMAX", (-1,), (1,), "input 0 is missing"),
        ("ADD", (0, -1), (1,), "input 1 is missing"),
        ("RELU", (0,), (1, 2), "it has 2 outputs instead of 1"),
    ):
        refused(ModelError, build_model([x, x, x], [(op, {}, read, written)], [0], [1]), why)


def test_int4_weights_are_read_as_int8() -> None:
    values = RNG.integers(-8, 8, (2, 4))

    def pack(made: Any, schema: Any) -> None:
        made.subgraphs[0].tensors[1].type = schema.TensorType.INT4
        low, high = values.reshape(-1, 2).T & 15
        made.buffers[1].data = (low | high << 4).astype(np.uint8)

    tensors = [int8((1, 4), 0.1, 5), TensorSpec((2, 4), "int8", 0.2, data=values), int8((1, 2), 0.4)]
    data = build_model(tensors, [("FULLY_CONNECTED", {}, (0, 1, -1), (2,))], [0], [2], pack)
    assert_equals_tflm(data, imported(data))
