"""transpose: the integer reference against TFLM, the import against onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import int8_type, one_node_graph, random_int8
from onnx import helper
from onnx_case import check_case
from tflm import TensorSpec, run_tflm

from mcugen.ir import TensorType
from mcugen.ops import OPS


@pytest.mark.parametrize("perm", [(0, 3, 1, 2), (0, 2, 1, 3), (3, 2, 1, 0)])
def test_equals_tflm(perm: tuple[int, ...], rng_seed: int) -> None:
    x = random_int8(np.random.default_rng(rng_seed), (1, 4, 5, 3))
    x_type = int8_type(x.shape, 0.1, 4)
    y_type = int8_type(tuple(x.shape[p] for p in perm), 0.1, 4)
    graph = one_node_graph("transpose", [x_type], {"perm": perm}, y_type)
    assert OPS["transpose"].infer(graph.nodes[0], [x_type])[0].shape == y_type.shape
    (y,) = OPS["transpose"].reference(graph.nodes[0], graph, [x])
    specs = [TensorSpec(t.shape, "int8", t.scale, t.zero_point) for t in (x_type, y_type)]
    constant = TensorSpec((4,), "int32", data=np.array(perm))
    (expected,) = run_tflm("TRANSPOSE", {}, [specs[0], constant], specs[1:], [x])
    np.testing.assert_array_equal(y, expected)
    assert OPS["transpose"].batchable(graph.nodes[0], graph) == (perm[0] == 0)


@pytest.mark.parametrize("attrs", [{}, {"perm": [0, 2, 1]}, {"perm": [1, 0, 2]}])
def test_import(attrs: dict) -> None:
    check_case(helper.make_node("Transpose", ["x"], ["y"], **attrs), {"x": (1, 3, 4)})


def test_no_permutation() -> None:
    x = TensorType((1, 2))
    graph = one_node_graph("transpose", [x], {"perm": (0, 0)}, x)
    with pytest.raises(ValueError, match="no permutation"):
        OPS["transpose"].infer(graph.nodes[0], [x])
