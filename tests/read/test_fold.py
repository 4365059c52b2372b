"""Folding constants: equal to onnxruntime over opsets, bounded before it runs, faults by node name."""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import NodeProto, TensorProto, checker, helper, numpy_helper

from mcugen.errors import ModelError, UnsupportedError
from mcugen.read import fold
from mcugen.read.fold import FOLDABLE, constant_value, evaluate

F, L, B = np.float32, np.int64, np.bool_
RNG = np.random.default_rng(7)
X = RNG.standard_normal((2, 3, 4)).astype(F)


def floats(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(F)


def ints(*values: int) -> np.ndarray:
    return np.array(values, L)


def node_of(op: str, inputs: list[np.ndarray | None], outputs: int = 1, **attrs: Any) -> NodeProto:
    names = [f"x{i}" if array is not None else "" for i, array in enumerate(inputs)]
    return helper.make_node(op, names, [f"y{i}" for i in range(outputs)], name="n", **attrs)


def runtime(node: NodeProto, inputs: list[np.ndarray | None], opset: int) -> list[np.ndarray]:
    """What onnxruntime makes of the node, with its optimizer off."""
    values = {name: array for name, array in zip(node.input, inputs, strict=True) if array is not None}
    graph = helper.make_graph(
        [node],
        "g",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for name, array in values.items()
        ],
        [helper.make_value_info(name, helper.make_tensor_type_proto(0, None)) for name in node.output],
    )
    for value in graph.output:
        value.ClearField("type")
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return list(session.run(None, values))


Case = tuple[str, list[np.ndarray | None], int, dict[str, Any], tuple[int, ...]]


def case(op: str, *inputs: np.ndarray | None, n: int = 1, at: tuple[int, ...] = (13,), **attrs: Any) -> Case:
    return op, list(inputs), n, attrs, at


ALL = (7, 13, 18)
CASES: list[Case] = [
    *(case(op, X, floats(3, 1), at=ALL) for op in ("Add", "Sub", "Mul", "Div")),
    *(case(op, ints(7, -7, 6, 9), ints(2, 2, -4, 3), at=ALL) for op in ("Add", "Sub", "Mul", "Div")),
    case("Mod", ints(7, -7, 6), ints(3, 3, -4)),
    case("Mod", ints(7, -7, 6), ints(3, 3, -4), fmod=1),
    case("Pow", np.abs(X), floats(4), at=(7, 13)),
    case("Pow", ints(2, 3), ints(10, 3)),
    *(
        case(op, np.abs(X) + F(0.5), at=(7, 13))
        for op in ("Sqrt", "Log", "Exp", "Reciprocal", "Sigmoid", "Tanh", "Sin", "Cos", "Floor", "Ceil")
        if op not in ("Sin", "Cos")
    ),
    case("Sin", X),
    case("Cos", X),
    case("Erf", X),
    *(case(op, X, at=(13,)) for op in ("Neg", "Abs", "Relu", "Sign", "Identity")),
    case("Neg", ints(3, -4)),
    case("Round", np.array([0.5, 1.5, 2.5, -0.5, -1.5, 2.4], F), at=(11,)),
    *(case(op, X, floats(4), floats(1), at=(8, 13)) for op in ("Min", "Max", "Sum", "Mean")),
    *(case(op, ints(1, 2, 3), ints(3, 2, 1), at=(11, 13)) for op in ("Equal", "Less", "Greater")),
    *(case(op, ints(1, 2, 3), ints(3, 2, 1), at=(12, 16)) for op in ("LessOrEqual", "GreaterOrEqual")),
    *(case(op, np.array([0, 1, 1], B), np.array([1, 1, 0], B), at=(7,)) for op in ("And", "Or", "Xor")),
    case("Not", np.array([0, 1], B), at=(7,)),
    case("Where", np.array([0, 1, 1, 0], B), X, floats(1), at=(9, 16)),
    case("Clip", X, at=(7,), min=-0.5, max=0.25),
    case("Clip", X, np.array(-0.5, F), None, at=(11, 13)),
    case("Cast", np.array([1.7, -1.7, 0.0], F), at=(7, 13, 19), to=TensorProto.INT64),
    case("Cast", ints(0, 3), at=(9, 13), to=TensorProto.BOOL),
    case("Cast", X, at=(13,), to=TensorProto.DOUBLE),
    case("CastLike", ints(1, 2), floats(1), at=(15, 19)),
    case("Concat", X, floats(2, 1, 4), axis=1, at=(7, 13)),
    case("Concat", ints(1), ints(2, 3), axis=0),
    case("Gather", X, ints(2, -1), axis=1, at=(7, 11, 13)),
    case("Gather", ints(4, 5, 6), np.array(1, L), axis=0),
    case("GatherND", X, np.array([[0, 1], [1, 2]], L), at=(11, 13)),
    case("GatherND", X, np.array([[1], [2]], L), batch_dims=1),
    case("ScatterND", X, np.array([[0], [1]], L), floats(2, 3, 4), at=(11, 13)),
    case("Slice", X, at=(7,), starts=[1, 0], ends=[9, -1], axes=[1, 2]),
    case("Slice", X, ints(0), ints(2**62), ints(2), ints(2), at=(10, 13)),
    case("Slice", X, ints(-1), ints(-(2**62)), ints(1), ints(-1), at=(10, 13)),
    case("Squeeze", floats(1, 3, 1), at=(7, 11), axes=[0]),
    case("Squeeze", floats(1, 3, 1), ints(-1), at=(13,)),
    case("Squeeze", floats(1, 3, 1), at=(7, 13)),
    case("Unsqueeze", X, at=(7, 11), axes=[0, 4]),
    case("Unsqueeze", X, ints(0, -1), at=(13,)),
    case("Reshape", X, ints(0, -1), at=(7, 13, 14)),
    case("Flatten", X, axis=2, at=(7, 13)),
    case("Transpose", X, perm=[2, 0, 1], at=(7, 13)),
    case("Transpose", X),
    case("Expand", floats(3, 1), ints(2, 1, 4), at=(8, 13)),
    case("Tile", X, ints(1, 2, 3), at=(7, 13)),
    case("Range", np.array(0, L), np.array(9, L), np.array(2, L), at=(11,)),
    case("Range", np.array(9, L), np.array(0, L), np.array(-2, L), at=(11,)),
    case("Range", np.array(0, F), np.array(1, F), np.array(0.25, F), at=(11,)),
    case("ConstantOfShape", ints(2, 3), at=(9,)),
    case("ConstantOfShape", ints(2), at=(9,), value=numpy_helper.from_array(ints(-1))),
    case("Size", X, at=(7, 13)),
    *(case(op, X, at=(7, 11, 13), axes=[1]) for op in ("ReduceMax", "ReduceMin", "ReduceMean", "ReduceProd")),
    *(
        case(op, X, ints(-1), at=(18,), keepdims=0)
        for op in ("ReduceMax", "ReduceMin", "ReduceMean", "ReduceProd")
    ),
    case("ReduceSum", X, at=(7, 11), axes=[0, 2], keepdims=0),
    case("ReduceSum", X, ints(0, 2), at=(13,)),
    case("ReduceSum", X, at=(13,)),
    case("ReduceSum", X, at=(13,), noop_with_empty_axes=1),
    case("ReduceProd", ints(2, 3, 4), at=(13,), keepdims=0),
    case("MatMul", X, floats(4, 5), at=(7, 13)),
    case("MatMul", floats(4), floats(4, 5)),
    case(
        "Gemm", floats(4, 3), floats(5, 4), floats(5), at=(7, 11, 13), transA=1, transB=1, alpha=0.5, beta=2.0
    ),
    case("Gemm", floats(3, 4), floats(4, 5), at=(11, 13)),
    case("Split", floats(2, 6), n=3, at=(7, 11, 13), axis=1),
    case("Split", floats(2, 6), n=2, at=(7,), axis=1, split=[2, 4]),
    case("Split", floats(2, 6), ints(2, 4), n=2, at=(13,), axis=1),
    case("Split", floats(2, 5), n=2, at=(18,), axis=1, num_outputs=2),
    case("Pad", X, at=(7,), pads=[0, 1, 0, 0, 0, 2], value=1.5),
    case("Pad", X, ints(0, 1, 0, 0, 0, 2), np.array(1.5, F), at=(11, 13)),
    case("Pad", X, ints(1, 2), np.array(1.5, F), ints(-1), at=(18, 19)),
    case("Pad", X, ints(0, 1, 1, 0, 0, 2), at=(11, 13), mode="reflect"),
    case(
        "DequantizeLinear", np.array([1, -2, 3], np.int8), np.array(0.5, F), np.array(1, np.int8), at=(10, 13)
    ),
    case(
        "DequantizeLinear",
        np.array([[1, -2, 3], [4, 5, 6]], np.int8),
        np.array([0.5, 2], F),
        np.array([1, 0], np.int8),
        axis=0,
    ),
    case("QuantizeLinear", X, np.array(0.02, F), np.array(3, np.int8), at=(10, 13)),
    case("CumSum", X, np.array(1, L), at=(11, 14)),
    case("CumSum", X, np.array(1, L), at=(11, 14), exclusive=1, reverse=1),
    case("OneHot", ints(0, 2, -1), np.array(3, L), np.array([0, 1], F), at=(9, 11)),
    case("Trilu", floats(3, 3), np.array(1, L), at=(14,), upper=0),
    case("EyeLike", floats(2, 3), at=(9,), k=1),
    case("NonZero", np.array([[0, 1], [2, 0]], L), at=(9, 13)),
    case("ArgMax", X, at=(7, 11, 13), axis=1, keepdims=0),
    case("ArgMin", X, at=(13,), axis=2),
]


@pytest.mark.parametrize(
    ("op", "inputs", "outputs", "attrs", "opset"),
    [
        pytest.param(op, inputs, n, attrs, opset, id=f"{op}-{index}-{opset}")
        for index, (op, inputs, n, attrs, at) in enumerate(CASES)
        for opset in at
    ],
)
def test_equals_onnxruntime(
    op: str, inputs: list[np.ndarray | None], outputs: int, attrs: dict[str, Any], opset: int
) -> None:
    node = node_of(op, inputs, outputs, **attrs)
    found = evaluate(node, inputs, opset)
    expected = runtime(node, inputs, opset)
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.shape == theirs.shape
        if ours.dtype.kind == "f":
            np.testing.assert_allclose(ours, theirs, rtol=2e-6, atol=1e-6)
        else:
            np.testing.assert_array_equal(ours, theirs)


def test_every_foldable_operator_is_compared() -> None:
    assert {op for op, *_ in CASES} | {"Constant"} == FOLDABLE


def test_newer_opset_than_the_reference_knows() -> None:
    node = node_of("Add", [X, X])
    np.testing.assert_array_equal(evaluate(node, [X, X], 99)[0], X + X)


HUGE = ints(2**20, 2**20)
BIG = np.zeros((2**13, 2**10), np.int8)  # 8 MB, times 64 is too large
TOO_LARGE: list[Case] = [
    case("ConstantOfShape", HUGE),
    case("ConstantOfShape", ints(2**31, 2**31, 2**31)),
    case("ConstantOfShape", ints(0, 2**40)),
    case("Expand", floats(1), HUGE),
    case("Expand", np.zeros((0, 1), F), ints(1, 2**40)),
    case("Tile", floats(2, 2), HUGE),
    case("Range", np.array(0, L), np.array(2**60, L), np.array(1, L)),
    case("Range", np.array(0, F), np.array(1e30, F), np.array(1e-30, F)),
    case("Pad", floats(2, 2), ints(0, 2**40, 0, 0)),
    case("Pad", floats(2, 2), ints(2**40, 0), None, ints(0)),
    case("Pad", floats(2, 2), pads=[0, 0, 0, 2**62]),
    case("OneHot", ints(0), np.array(2**40, L), np.array([0, 1], F)),
    case("OneHot", np.zeros(0, L), np.array(2**40, L), np.array([0, 1], F)),
    case("Add", np.zeros((2**13, 1), F), np.zeros(2**14, F)),
    case("Where", np.zeros((2**13, 1), B), np.zeros(2**14, F), floats(1)),
    case("MatMul", np.zeros((2**13, 1), F), np.zeros((1, 2**14), F)),
    case("Gemm", np.zeros((1, 2**13), F), np.zeros((1, 2**14), F), transA=1),
    case("Gather", BIG, np.zeros(2**18 + 1, L)),
    case("GatherND", BIG, np.zeros((2**18 + 1, 1), L)),
    case("ReduceSum", np.zeros((0, 2**30), F)),
    case("DequantizeLinear", np.zeros(4, np.int8), floats(4), block_size=2**40),
]


@pytest.mark.parametrize("large", TOO_LARGE, ids=lambda c: c[0])
def test_large_results_are_refused_before_they_are_made(large: Case) -> None:
    op, inputs, outputs, attrs, _ = large
    begin = time.monotonic()
    with pytest.raises(ModelError, match=r'onnx:\w+ "n".* bytes, at most 268,435,456 are folded') as info:
        evaluate(node_of(op, inputs, outputs, **attrs), inputs, 18)
    assert info.value.exit_code == 3
    assert time.monotonic() - begin < 1


def test_the_limit_itself_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold, "FOLD_LIMIT", 4096)
    node = node_of("ConstantOfShape", [ints(1)])
    assert evaluate(node, [ints(1024)], 13)[0].nbytes == 4096
    with pytest.raises(ModelError, match="4,100 bytes, at most 4,096"):
        evaluate(node, [ints(1025)], 13)


FAULTS: list[tuple[Case, str]] = [
    (case("Add", floats(2), floats(3)), "do not fit"),
    (case("Reshape", X, ints(5, -1)), "do not fit"),
    (case("Gather", X, ints(9)), "do not fit"),
    (case("Gather", X, ints(0), axis=7), "axis 7 of 3 dimensions"),
    (case("Div", ints(1), ints(0)), "divide by zero"),
    (case("Transpose", X, perm=[0, 1]), "do not fit"),
    (case("Range", np.array(0, L), np.array(9, L), np.array(0, L)), "has no end"),
    (case("Range", np.array(0, F), np.array(np.nan, F), np.array(1, F)), "has no end"),
    (case("ConstantOfShape", ints(-1)), "negative"),
    (case("ConstantOfShape", floats(2)), "no list of sizes"),
    (case("Expand", X), "input 1 is missing"),
    (case("Split", floats(6), ints(2, 2), n=2), "parts are not the whole"),
    (case("Split", floats(6), n=2, num_outputs=2**40), "num_outputs"),
    (case("Cast", X, to=TensorProto.STRING), "not numbers"),
    (case("EyeLike", floats(9)), "no matrix"),
    (case("Erf", np.zeros(2**22 + 1, F)), "too large"),
    (case("ScatterND", floats(4), np.zeros((2**23, 0), L), floats(1)), "too large"),
    (case("MatMul", np.zeros((2**12, 2**12), F), np.zeros((2**12, 2**12), F)), "too large to be multiplied"),
]


@pytest.mark.parametrize(("faulty", "reason"), FAULTS, ids=lambda v: v[0] if isinstance(v, tuple) else None)
def test_faults_name_the_node(faulty: Case, reason: str) -> None:
    op, inputs, outputs, attrs, _ = faulty
    with pytest.raises(ModelError, match=reason) as info:
        evaluate(node_of(op, inputs, outputs, **attrs), inputs, 18)
    assert info.value.faults[0].where == f'onnx:{op} "n"'


def test_operators_off_the_list_are_a_programming_error() -> None:
    with pytest.raises(ValueError, match="not foldable"):
        evaluate(node_of("RandomNormal", []), [], 13)
    with pytest.raises(ValueError, match="not foldable"):
        evaluate(node_of("Add", [X, X], domain="com.microsoft"), [X, X], 13)


def test_no_warning_reaches_the_user() -> None:
    zero = np.zeros(2, F)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(evaluate(node_of("Div", [zero, zero]), [zero, zero], 13)[0]).all()
        assert np.isinf(evaluate(node_of("Exp", [zero]), [zero + F(1000)], 13)[0]).all()
        assert np.isnan(evaluate(node_of("Sqrt", [zero]), [zero - F(1)], 13)[0]).all()


@given(a=st.integers(-(2**62), 2**62), b=st.integers(-(2**62), 2**62).filter(bool))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_integer_division_truncates_exactly(a: int, b: int) -> None:
    inputs = [ints(a), ints(b)]
    (found,) = evaluate(node_of("Div", [ints(0), ints(0)]), list(inputs), 13)
    quotient = abs(a) // abs(b)
    assert found.dtype == L
    assert int(found[0]) == (quotient if (a < 0) == (b < 0) else -quotient)


CONSTANTS: list[tuple[dict[str, Any], np.ndarray]] = [
    ({"value": numpy_helper.from_array(X)}, X),
    ({"value": numpy_helper.from_array(np.array(3, np.int8))}, np.array(3, np.int8)),
    ({"value_float": 1.5}, np.array(1.5, F)),
    ({"value_floats": [1.5, 2.0]}, np.array([1.5, 2.0], F)),
    ({"value_int": 3}, np.array(3, L)),
    ({"value_ints": [3, 4]}, ints(3, 4)),
]


@pytest.mark.parametrize(
    ("attrs", "expected"), CONSTANTS, ids=lambda v: next(iter(v)) if isinstance(v, dict) else ""
)
def test_constants(attrs: dict[str, Any], expected: np.ndarray) -> None:
    node = node_of("Constant", [], **attrs)
    checker.check_node(node)
    for found in (constant_value(node), evaluate(node, [], 13)[0]):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
        assert found.shape == expected.shape


def test_constants_that_cannot_be() -> None:
    with pytest.raises(ModelError, match="this one has 0"):
        constant_value(node_of("Constant", []))
    with pytest.raises(ModelError, match="this one has 2"):
        constant_value(node_of("Constant", [], value_int=1, value_float=1.0))
    with pytest.raises(UnsupportedError, match="value_string constants are not supported"):
        constant_value(node_of("Constant", [], value_string="text"))
    sparse = helper.make_sparse_tensor(
        numpy_helper.from_array(floats(1)), numpy_helper.from_array(ints(0)), [9]
    )
    with pytest.raises(UnsupportedError, match="sparse_value constants are not supported"):
        constant_value(node_of("Constant", [], sparse_value=sparse))
    broken = node_of(
        "Constant", [], value=TensorProto(data_type=TensorProto.FLOAT, dims=[9], raw_data=b"1234")
    )
    with pytest.raises(ModelError, match="its value cannot be read"):
        constant_value(broken)
