"""BatchNormalization becomes a depthwise convolution; against onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper
from onnx_case import check_case, import_case, onnx_model, operators

from mcugen.errors import ModelError, UnsupportedError

NAMES = ["g", "b", "m", "v"]


def parameters(channels: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    values = {name: rng.standard_normal(channels).astype(np.float32) for name in NAMES}
    values["v"] = np.abs(values["v"])
    return values


@pytest.mark.parametrize("opset", [7, 9, 14, 15])
@pytest.mark.parametrize("x", [(1, 3), (2, 3), (1, 3, 5), (1, 3, 5, 4)])
def test_import(x: tuple[int, ...], opset: int) -> None:
    node = helper.make_node("BatchNormalization", ["x", *NAMES], ["y"], epsilon=0.01)
    assert "depthwise_conv2d" in operators(check_case(node, {"x": x}, parameters(), opset=opset))


def test_training_mode_is_not_supported() -> None:
    for attrs, outputs, opset in (
        ({"training_mode": 1}, ["y"], 15),
        ({"spatial": 0}, ["y"], 7),
        ({}, ["y", "mean"], 13),
    ):
        node = helper.make_node("BatchNormalization", ["x", *NAMES], outputs, **attrs)
        with pytest.raises(UnsupportedError, match="export with"):
            import_case(onnx_model([node], {"x": (1, 3)}, parameters(), outputs, opset))


def test_parameters_that_make_no_sense() -> None:
    node = helper.make_node("BatchNormalization", ["x", *NAMES], ["y"])
    with pytest.raises(ModelError, match="3 channels"):
        import_case(onnx_model([node], {"x": (1, 3)}, parameters(4), ["y"], 15))
    negative = parameters() | {"v": np.array([1, -1, 1], np.float32)}
    with pytest.raises(ModelError, match="variance is not positive"):
        import_case(onnx_model([node], {"x": (1, 3)}, negative, ["y"], 15))
