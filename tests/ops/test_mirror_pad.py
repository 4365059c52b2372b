"""mirror_pad: the integer reference against TFLM, ONNX's reflect and edge against onnxruntime."""

from __future__ import annotations

import numpy as np
import onnx_case
import pytest
from onnx import helper
from tflite_case import check_case, import_case, int8, ints, operators

from mcugen.errors import ModelError, UnsupportedError
from mcugen.read.tflite_import import OperatorFault


@pytest.mark.parametrize("mode", ["REFLECT", "SYMMETRIC"])
@pytest.mark.parametrize(
    ("shape", "pads"),
    [
        ((1, 4, 5, 3), ((0, 0), (1, 2), (3, 1), (0, 0))),
        ((1, 4, 5, 3), ((0, 0), (3, 3), (4, 4), (2, 2))),
        ((1, 6), ((0, 0), (0, 5))),
        ((2, 3, 4), ((1, 0), (0, 0), (0, 3))),
    ],
)
def test_equals_tflm(mode: str, shape: tuple[int, ...], pads: tuple[tuple[int, int], ...]) -> None:
    out = tuple(d + before + after for d, (before, after) in zip(shape, pads, strict=True))
    graph = check_case("MIRROR_PAD", {"mode": mode}, [int8(shape), ints(np.array(pads))], [int8(out)])
    assert operators(graph) == ["mirror_pad"]


def test_padding_beyond_the_input() -> None:
    for mode, pad in (("REFLECT", 3), ("SYMMETRIC", 4)):
        with pytest.raises(OperatorFault, match="elements are"):
            parameters = [int8((1, 3)), ints(np.array([[0, 0], [pad, 0]]))]
            import_case("MIRROR_PAD", {"mode": mode}, parameters, [int8((1, 3 + pad))])


@pytest.mark.parametrize("mode", ["reflect", "edge"])
@pytest.mark.parametrize("pads", [(0, 0, 1, 2, 0, 0, 3, 0), (0, 1, 0, 0, 0, 1, 0, 4)])
def test_onnx(mode: str, pads: tuple[int, ...]) -> None:
    x = {"x": (1, 3, 5, 6)}
    old = onnx_case.check_case(helper.make_node("Pad", ["x"], ["y"], pads=pads, mode=mode), x, opset=7)
    new = helper.make_node("Pad", ["x", "p"], ["y"], mode=mode)
    graph = onnx_case.check_case(new, x, {"p": np.array(pads, np.int64)}, opset=13)
    assert operators(old) == operators(graph) == ["mirror_pad"]


def test_onnx_edge_may_be_wide() -> None:
    node = helper.make_node("Pad", ["x"], ["y"], pads=[0, 0, 7, 0, 0, 9], mode="edge")
    onnx_case.check_case(node, {"x": (1, 2, 3)}, opset=9)


def test_what_onnx_imports_refuse() -> None:
    def model(pads: list[int], mode: str):
        node = helper.make_node("Pad", ["x"], ["y"], pads=pads, mode=mode)
        return onnx_case.onnx_model([node], {"x": (1, 3)}, {}, ["y"], 9)

    with pytest.raises(UnsupportedError, match="negative padding in mode 'edge'"):
        onnx_case.import_case(model([0, -1, 0, 1], "edge"))
    with pytest.raises(ModelError, match="reflect padding of 3 where only 2 elements are"):
        onnx_case.import_case(model([0, 3, 0, 1], "reflect"))
