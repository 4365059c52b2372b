"""PACK and UNPACK against TFLM."""

from __future__ import annotations

import numpy as np
import pytest
from tflite_case import check_case, import_case, int8, ints, operators
from tflm import TensorSpec

from mcugen.read.tflite_import import OperatorFault


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_pack(axis: int, count: int) -> None:
    shape, where = (4, 3), axis % 3
    out = (*shape[:where], count, *shape[where:])
    options = {"axis": axis, "values_count": count}
    graph = check_case("PACK", options, [int8(shape)] * count, [int8(out)])
    assert ("concat" in operators(graph)) == (count > 1)


def test_pack_with_a_constant() -> None:
    constant = TensorSpec((1, 3), "int8", 0.1, -9, data=np.array([[1, -2, 3]]))
    check_case("PACK", {"axis": 1, "values_count": 2}, [int8((1, 3)), constant], [int8((1, 2, 3))])


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_unpack(axis: int) -> None:
    shape = (1, 3, 4, 2)
    count = shape[axis]
    out = tuple(d for i, d in enumerate(shape) if i != axis % 4)
    graph = check_case("UNPACK", {"axis": axis, "num": count}, [int8(shape)], [int8(out)] * count)
    sources = [graph.tensors[node.outputs[0]].source for node in graph.nodes if node.op == "slice"]
    assert sources == [f"y{i}" for i in range(count)], "each slice is on the way to an output of its own"


def test_unpack_of_one() -> None:
    graph = check_case("UNPACK", {"axis": 0, "num": 1}, [int8((1, 3))], [int8((3,))])
    assert operators(graph) == ["reshape"]


def test_what_tflite_imports_refuse() -> None:
    with pytest.raises(OperatorFault, match="inputs of the shapes"):
        import_case("PACK", {"axis": 0, "values_count": 2}, [int8((3,)), int8((4,))], [int8((2, 3))])
    with pytest.raises(OperatorFault, match="for 2 outputs"):
        import_case("UNPACK", {"axis": 0, "num": 2}, [int8((3, 4))], [int8((4,))] * 2)
    with pytest.raises(OperatorFault, match="axis 4"):
        import_case("PACK", {"axis": 4, "values_count": 1}, [int8((3,)), ints(1)][:1], [int8((1, 3))])
