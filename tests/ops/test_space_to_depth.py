"""SPACE_TO_DEPTH and DEPTH_TO_SPACE against TFLM, their ONNX forms against onnxruntime."""

from __future__ import annotations

import onnx_case
import pytest
from onnx import helper
from tflite_case import check_case, import_case, int8

from mcugen.errors import ModelError
from mcugen.read.tflite_import import OperatorFault


@pytest.mark.parametrize("block", [1, 2, 3])
def test_equals_tflm(block: int) -> None:
    small, large = (1, 2, 3, 2 * block * block), (1, 2 * block, 3 * block, 2)
    check_case("DEPTH_TO_SPACE", {"block_size": block}, [int8(small)], [int8(large)])
    check_case("SPACE_TO_DEPTH", {"block_size": block}, [int8(large)], [int8(small)])


@pytest.mark.parametrize("op", ["SPACE_TO_DEPTH", "DEPTH_TO_SPACE"])
@pytest.mark.parametrize("block", [0, -1, 4])
def test_blocks_that_do_not_fit(op: str, block: int) -> None:
    with pytest.raises(OperatorFault, match="blocks of"):
        import_case(op, {"block_size": block}, [int8((1, 2, 2, 3))], [int8((1, 2, 2, 3))])


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_onnx_depth_to_space(mode: str) -> None:
    node = helper.make_node("DepthToSpace", ["x"], ["y"], blocksize=2, mode=mode)
    onnx_case.check_case(node, {"x": (1, 12, 3, 2)}, opset=13)
    onnx_case.check_case(node, {"x": (1, 12, 3, 2)}, opset=11)


def test_onnx_space_to_depth() -> None:
    node = helper.make_node("SpaceToDepth", ["x"], ["y"], blocksize=3)
    onnx_case.check_case(node, {"x": (1, 2, 6, 9)}, opset=13)


@pytest.mark.parametrize("op_type", ["SpaceToDepth", "DepthToSpace"])
def test_onnx_blocks_that_do_not_fit(op_type: str) -> None:
    node = helper.make_node(op_type, ["x"], ["y"], blocksize=4)
    with pytest.raises(ModelError, match="blocks of 4"):
        onnx_case.import_case(onnx_case.onnx_model([node], {"x": (1, 6, 6, 6)}, {}, ["y"], 13))
