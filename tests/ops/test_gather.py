"""gather: the integer reference against TFLM, ONNX Gather with any indices against onnxruntime."""

from __future__ import annotations

import numpy as np
import onnx_case
import pytest
from onnx import helper
from tflite_case import check_case, import_case, int8, ints, operators

from mcugen.execute import run
from mcugen.ir import TensorType
from mcugen.ops import OPS
from mcugen.ops.gather import split_neighbours
from mcugen.read.tflite_import import OperatorFault


@pytest.mark.parametrize("axis", [1, 2, -1])
@pytest.mark.parametrize("positions", [[0], [3, 0, 3, 1], [[1, 2], [2, 0]]])
def test_equals_tflm(axis: int, positions: object) -> None:
    shape, where = (1, 4, 5, 6), axis % 4
    given = ints(np.array(positions))
    out = (*shape[:where], *given.shape, *shape[where + 1 :])
    check_case("GATHER", {"axis": axis}, [int8(shape), given], [int8(out)])


def test_one_position_takes_the_axis_away() -> None:
    graph = import_case("GATHER", {"axis": 1}, [int8((1, 4, 3)), ints(np.array(2))], [int8((1, 3))])
    x = np.arange(12, dtype=np.int8).reshape(1, 4, 3)
    assert run(graph, {"x0": x})["y0"].tolist() == [[6, 7, 8]]


@pytest.mark.parametrize(
    ("options", "positions", "why"),
    [
        ({"axis": 1}, [4], "positions"),
        ({"axis": 1}, [-1], "positions"),
        ({"axis": 2}, [0], "axis 2"),
        ({"axis": 1, "batch_dims": 1}, [0], "batch_dims"),
    ],
)
def test_what_tflite_imports_refuse(options: dict, positions: list[int], why: str) -> None:
    with pytest.raises(OperatorFault, match=why):
        import_case("GATHER", options, [int8((1, 4)), ints([*positions])], [int8((1, len(positions)))])


@pytest.mark.parametrize("indices", [[0, 1, 3], [1, 1], [[0, 3], [-1, 2]], [2, 2, 2]])
@pytest.mark.parametrize("axis", [1, -1])
def test_onnx(indices: object, axis: int) -> None:
    node = helper.make_node("Gather", ["x", "i"], ["y"], axis=axis)
    graph = onnx_case.check_case(node, {"x": (1, 5, 3, 6)}, {"i": np.array(indices, np.int64)})
    assert operators(graph)[0] == "gather"


def test_neighbours_go_together() -> None:
    assert split_neighbours({1: [0], 2: [3, 3]}, 4) == [(None, (0,), (3, 3), None)]
    parts = split_neighbours({1: [0], 3: [1]}, 4)
    assert parts == [(None, (0,), None, None), (None, None, None, (1,))]
    assert len(split_neighbours({0: [0], 1: [0], 2: [0]}, 3)) == 2


@pytest.mark.parametrize(
    "indices", [(None, None), (None, ()), (None, (5,)), (None, (-1,)), (None,), (None, (0,), None, (0,))]
)
def test_indices_that_do_not_fit(indices: tuple) -> None:
    graph = import_case("GATHER", {"axis": 1}, [int8((1, 5)), ints([0])], [int8((1, 1))])
    node = graph.nodes[0].with_attrs(indices=indices)
    with pytest.raises(ValueError, match="indices"):
        OPS["gather"].infer(node, [TensorType((1, 5) if len(indices) < 4 else (1, 5, 2, 2))])
