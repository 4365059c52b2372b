"""slice: the integer reference against TFLM, Slice, Split and Gather against onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import int8_type, one_node_graph, random_int8
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper
from onnx_case import check_case, import_case, onnx_model, operators
from tflm import TensorSpec, run_tflm

from mcugen.errors import ModelError, UnsupportedError
from mcugen.ir import TensorType
from mcugen.ops import OPS
from mcugen.ops.slice import clamped_span


@pytest.mark.parametrize(
    ("begin", "step", "size"),
    [((0, 1, 0, 2), (1, 2, 1, 1), (1, 3, 5, 1)), ((0, 6, 4, 0), (1, -3, -1, 2), (1, 3, 5, 2))],
)
def test_equals_tflm(begin: tuple, step: tuple, size: tuple, rng_seed: int) -> None:
    x = random_int8(np.random.default_rng(rng_seed), (1, 7, 5, 3))
    x_type, y_type = int8_type(x.shape, 0.1, 4), int8_type(size, 0.1, 4)
    attrs = dict(begin=begin, step=step, size=size)
    graph = one_node_graph("slice", [x_type], attrs, y_type)
    assert OPS["slice"].infer(graph.nodes[0], [x_type])[0].shape == size
    (y,) = OPS["slice"].reference(graph.nodes[0], graph, [x])
    ends = [b + t * s for b, t, s in zip(begin, step, size, strict=True)]
    mask = sum(1 << i for i, end in enumerate(ends) if end < 0)
    ends = [max(end, 0) for end in ends]
    parameters = [TensorSpec((4,), "int32", data=np.array(v)) for v in (begin, ends, step)]
    specs = [TensorSpec(t.shape, "int8", t.scale, t.zero_point) for t in (x_type, y_type)]
    (expected,) = run_tflm("STRIDED_SLICE", {"end_mask": mask}, [specs[0], *parameters], specs[1:], [x])
    np.testing.assert_array_equal(y, expected)


@given(
    st.integers(1, 6),
    st.integers(-9, 9),
    st.integers(-9, 9),
    st.integers(-4, 4).filter(bool),
)
def test_clamping_as_in_python(dim: int, start: int, end: int, step: int) -> None:
    begin, step, size = clamped_span(start, end, step, dim)
    picked = [begin + i * step for i in range(size)]
    # For negative steps ONNX clamps a start before the first element to the first, Python to none.
    assert picked == list(range(dim))[max(start, -dim) if step < 0 else start : end : step]


@pytest.mark.parametrize("opset", [7, 13])
@pytest.mark.parametrize(
    ("starts", "ends", "axes"),
    [
        ([1], [3], [1]),
        ([0, -3], [2**31, -1], [1, 2]),
        ([0, 1, 2, 3], [1, 3, 4, 5], None),
        ([0], [2**63 - 1], [3]),
    ],
)
def test_slice(starts: list[int], ends: list[int], axes: list[int] | None, opset: int) -> None:
    values = {"starts": starts, "ends": ends} | ({"axes": axes} if axes is not None else {})
    relu = helper.make_node("Relu", ["z"], ["y"])
    if opset == 7:
        node, constants = helper.make_node("Slice", ["x"], ["z"], **values), {}
    else:
        node = helper.make_node("Slice", ["x", *values], ["z"])
        constants = {name: np.array(value, np.int64) for name, value in values.items()}
    graph = check_case([node, relu], {"x": (1, 4, 5, 6)}, constants, opset=opset)
    assert ("slice" in operators(graph)) == (axes != [3])


def test_slice_with_steps() -> None:
    values = {"s": [-1, 0], "e": [-(2**31), 5], "a": [-1, 1], "t": [-2, 3]}
    constants = {name: np.array(value, np.int64) for name, value in values.items()}
    check_case(helper.make_node("Slice", ["x", *values], ["y"]), {"x": (1, 5, 6)}, constants)


def split(opset: int, sizes: list[int] | None, **attrs: int):
    if sizes is None:
        return helper.make_node("Split", ["x"], ["a", "b", "c"], axis=1, **attrs), {}
    if opset < 13:
        return helper.make_node("Split", ["x"], ["a", "b", "c"], axis=1, split=sizes), {}
    return helper.make_node("Split", ["x", "s"], ["a", "b", "c"], axis=1), {"s": np.array(sizes, np.int64)}


@pytest.mark.parametrize("opset", [7, 13])
@pytest.mark.parametrize("sizes", [None, [1, 2, 3]])
def test_split(opset: int, sizes: list[int] | None) -> None:
    node, constants = split(opset, sizes)
    check_case(node, {"x": (1, 6, 2)}, constants, ("a", "b", "c"), opset=opset)
    check_case(node, {"x": (1, 6, 2)}, constants, ("c",), opset=opset)


def test_split_into_uneven_parts() -> None:
    node, constants = split(18, None, num_outputs=3)
    check_case(node, {"x": (1, 8, 2)}, constants, ("a", "b", "c"), opset=18)
    with pytest.raises(ModelError, match="3 equal parts"):
        import_case(onnx_model([split(13, None)[0]], {"x": (1, 8, 2)}, {}, ["a"], 13))


@pytest.mark.parametrize("indices", [2, -1, [3], [0, 1, 2], [4, 2, 0], [[1, 2], [3, 4]]])
@pytest.mark.parametrize("axis", [1, -1])
def test_gather(indices: object, axis: int) -> None:
    node = helper.make_node("Gather", ["x", "i"], ["y"], axis=axis)
    check_case(node, {"x": (1, 5, 3, 6)}, {"i": np.array(indices, np.int64)})


def test_what_is_not_supported() -> None:
    values = {"s": np.array([3], np.int64), "e": np.array([3], np.int64)}
    nothing = helper.make_node("Slice", ["x", "s", "e"], ["y"])
    with pytest.raises(UnsupportedError, match="nothing of"):
        import_case(onnx_model([nothing], {"x": (5,)}, values, ["y"], 17))


def test_indices_that_do_not_exist() -> None:
    gather = helper.make_node("Gather", ["x", "i"], ["y"], axis=1)
    with pytest.raises(ModelError, match="beyond axis 1"):
        import_case(onnx_model([gather], {"x": (1, 5)}, {"i": np.array(5)}, ["y"], 17))


@pytest.mark.parametrize(
    ("begin", "step", "size"), [((0, 3), (1, 1), (1, 3)), ((0, 1), (1, -1), (1, 3)), ((0, 0), (1, 1), (1, 0))]
)
def test_slices_outside_of_the_input(begin: tuple, step: tuple, size: tuple) -> None:
    x = TensorType((1, 5))
    graph = one_node_graph("slice", [x], dict(begin=begin, step=step, size=size), x)
    with pytest.raises(ValueError, match="do not lie in"):
        OPS["slice"].infer(graph.nodes[0], [x])


def test_samples_stay_apart(rng_seed: int) -> None:
    x = np.random.default_rng(rng_seed).standard_normal((4, 5)).astype(np.float32)
    attrs = dict(begin=(0, 4), step=(1, -2), size=(1, 3))
    graph = one_node_graph("slice", [TensorType((1, 5))], attrs, TensorType((1, 3)))
    assert OPS["slice"].batchable(graph.nodes[0], graph)
    (y,) = OPS["slice"].float_reference(graph.nodes[0], graph, [x])
    np.testing.assert_array_equal(y, x[:, ::-2])
    turned = one_node_graph("slice", [TensorType((2, 5))], attrs, TensorType((1, 3)))
    assert not OPS["slice"].batchable(turned.nodes[0], turned)
