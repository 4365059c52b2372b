"""ReduceMax and ReduceSum against onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper
from onnx_case import check_case, operators


@pytest.mark.parametrize("op_type", ["ReduceMax", "ReduceSum"])
@pytest.mark.parametrize("opset", [11, 13, 18])
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize(
    ("shape", "axes"),
    [((1, 3, 4, 5), (2, 3)), ((1, 3, 4, 5), (1,)), ((1, 6, 2), (-1,)), ((1, 4), (1,)), ((1, 3, 1), (2,))],
)
def test_reduce(
    op_type: str, opset: int, keepdims: int, shape: tuple[int, ...], axes: tuple[int, ...]
) -> None:
    as_input = opset >= (18 if op_type == "ReduceMax" else 13)
    attrs = {} if as_input else {"axes": axes}
    node = helper.make_node(
        op_type, ["x", "a"] if as_input else ["x"], ["y"], "n", keepdims=keepdims, **attrs
    )
    check_case(node, {"x": shape}, {"a": np.array(axes)} if as_input else {}, opset=opset)


def test_all_axes_and_none() -> None:
    check_case(helper.make_node("ReduceMax", ["x"], ["y"], "n", keepdims=1), {"x": (1, 3, 4)}, opset=13)
    node = helper.make_node("ReduceSum", ["x"], ["y"], "n", noop_with_empty_axes=1)
    assert operators(check_case(node, {"x": (1, 3)}, opset=13)) == ["reshape"]
    constants = {"a": np.array([], np.int64)}
    node = helper.make_node("ReduceMax", ["x", "a"], ["y"], "n", noop_with_empty_axes=1)
    assert operators(check_case(node, {"x": (1, 3)}, constants, opset=18)) == ["reshape"]
