"""Resize and Upsample against onnxruntime, RESIZE_NEAREST_NEIGHBOR against TFLM."""

from __future__ import annotations

import itertools

import numpy as np
import onnx_case
import pytest
from onnx import helper
from tflite_case import check_case, import_case, int8, ints, operators

from mcugen.errors import ModelError, UnsupportedError
from mcugen.read.tflite_import import OperatorFault

SIZES = [(8, 10), (4, 5), (7, 3), (2, 2), (1, 13), (23, 1)]
RESIZES = list(itertools.product([(1, 4, 5, 3), (1, 1, 9, 2), (1, 7, 7, 1)], SIZES))


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("centers", [False, True])
def test_nearest_equals_tflm(corners: bool, centers: bool) -> None:
    for shape, size in RESIZES:
        options = {"align_corners": corners, "half_pixel_centers": centers}
        out = (1, *size, shape[3])
        graph = check_case("RESIZE_NEAREST_NEIGHBOR", options, [int8(shape), ints(size)], [int8(out)])
        assert operators(graph) == ["gather"]


def test_nearest_of_many_sizes_equals_tflm() -> None:
    """Places come from float32 products: all pairs of small sizes, and some large ones."""
    pairs = [
        *itertools.product(range(1, 12), repeat=2),
        (100, 61),
        (61, 100),
        (320, 96),
        (97, 224),
        (10, 501),
    ]
    for a, b in pairs:
        for corners, centers in itertools.product((False, True), repeat=2):
            options = {"align_corners": corners, "half_pixel_centers": centers}
            parameters = [int8((1, a, 1, 1)), ints(b, 1)]
            check_case("RESIZE_NEAREST_NEIGHBOR", options, parameters, [int8((1, b, 1, 1))])


def test_what_tflite_imports_refuse() -> None:
    with pytest.raises(OperatorFault, match="resizing"):
        import_case("RESIZE_NEAREST_NEIGHBOR", {}, [int8((1, 2, 2, 1)), ints(0, 4)], [int8((1, 4, 4, 1))])


def resize(shape: tuple[int, ...], opset: int = 17, scales=None, sizes=None, **attrs):
    """Arguments of check_case and onnx_model. Opset 11 wants all inputs, if be it empty."""
    constants = {"s": np.array(scales, np.float32) if sizes is None else np.array(sizes, np.int64)}
    empty = "none" if opset < 13 else ""
    if empty:
        constants[empty] = np.zeros(0, np.float32)
    names = ["x", empty, empty, "s"] if sizes else ["x", empty, "s"]
    return [helper.make_node("Resize", names, ["y"], **attrs)], {"x": shape}, constants, ("y",), opset


NEAREST = ["asymmetric", "half_pixel", "pytorch_half_pixel", "align_corners", "tf_half_pixel_for_nn"]


@pytest.mark.parametrize("rounding", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
@pytest.mark.parametrize("coordinates", NEAREST)
def test_nearest(coordinates: str, rounding: str) -> None:
    how = dict(mode="nearest", coordinate_transformation_mode=coordinates, nearest_mode=rounding)
    opset = 11 if coordinates == "tf_half_pixel_for_nn" else 17
    for size in SIZES:
        graph = onnx_case.check_case(*resize((1, 2, 4, 5), opset, sizes=(1, 2, *size), **how))
        assert set(operators(graph)) <= {"gather", "reshape"}
    onnx_case.check_case(*resize((1, 2, 4, 5), opset, scales=(1, 1, 1.7, 0.6), **how))
    onnx_case.check_case(*resize((1, 2, 6), opset, scales=(1, 1, 2), **how))


@pytest.mark.parametrize("coordinates", ["asymmetric", "half_pixel", "pytorch_half_pixel", "align_corners"])
def test_linear(coordinates: str) -> None:
    how = dict(mode="linear", coordinate_transformation_mode=coordinates)
    for size in [(8, 10), (7, 3), (2, 2), (4, 13)]:
        graph = onnx_case.check_case(*resize((1, 2, 4, 5), sizes=(1, 2, *size), **how))
        assert operators(graph) == ["transpose", "resize_bilinear", "transpose"]
    onnx_case.check_case(*resize((1, 3, 4, 6), scales=(1, 1, 2, 0.5), **how))
    onnx_case.check_case(*resize((1, 3, 6), scales=(1, 1, 3), **how))
    onnx_case.check_case(*resize((1, 3, 6), 18, sizes=(9,), axes=(2,), **how))


def test_linear_of_channels_last_images_needs_no_transpose() -> None:
    nodes, inputs, constants, outputs, opset = resize((1, 4, 5, 3), sizes=(1, 8, 10, 3), mode="linear")
    graph = onnx_case.import_case(onnx_case.onnx_model(nodes, inputs, constants, outputs, opset))
    assert operators(graph) == ["resize_bilinear"]


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("opset", [7, 9, 10])
def test_old_forms(mode: str, opset: int) -> None:
    for scales in ([1.0, 1.0, 2.0, 3.0], [1.0, 1.0, 1.0, 2.0]):
        if opset == 7:
            node, constants = helper.make_node("Upsample", ["x"], ["y"], mode=mode, scales=scales), {}
        else:
            op_type = "Upsample" if opset == 9 else "Resize"
            node = helper.make_node(op_type, ["x", "s"], ["y"], mode=mode)
            constants = {"s": np.array(scales, np.float32)}
        onnx_case.check_case(node, {"x": (1, 2, 4, 5)}, constants, opset=opset)


def test_nothing_to_resize() -> None:
    nodes, *rest = resize((1, 2, 4, 5), sizes=(1, 2, 4, 5), mode="linear")
    nodes[0].output[0] = "z"
    graph = onnx_case.check_case([*nodes, helper.make_node("Relu", ["z"], ["y"])], *rest)
    assert operators(graph) == ["unary"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (dict(scales=(1, 1, 2, 2), mode="cubic"), "cubic resizing"),
        (dict(scales=(1, 1, 1.5, 2), mode="linear"), "no whole number"),
        (dict(scales=(1, 2, 1, 2), mode="linear"), "linear resizing of axes"),
        (
            dict(sizes=(1, 3, 1, 4), mode="linear", coordinate_transformation_mode="pytorch_half_pixel"),
            "to a size of 1",
        ),
        (
            dict(scales=(1, 1, 2, 2), mode="linear", coordinate_transformation_mode="half_pixel_symmetric"),
            "linear with half_pixel_symmetric",
        ),
        (dict(sizes=(1, 3, 2, 4), mode="linear", antialias=1, opset=18), "antialias"),
        (dict(sizes=(2, 2), axes=(2, 3), keep_aspect_ratio_policy="not_larger", opset=18), "keep_aspect"),
        (
            dict(sizes=(1, 3, 2, 2), coordinate_transformation_mode="tf_crop_and_resize"),
            "nearest with tf_crop_and_resize",
        ),
    ],
)
def test_what_is_not_supported(arguments: dict, why: str) -> None:
    with pytest.raises(UnsupportedError, match=why):
        onnx_case.import_case(onnx_case.onnx_model(*resize((1, 3, 5, 4), **arguments)))


@pytest.mark.parametrize("scales", [(1, 1, 0, 1), (1, 1, 2), (1, 1, 0.1, 1), (1, 1, 1e30, 1)])
def test_impossible_sizes(scales: tuple) -> None:
    with pytest.raises(ModelError, match="scales|a size of"):
        onnx_case.import_case(onnx_case.onnx_model(*resize((1, 3, 5, 4), scales=scales)))
