"""resize_bilinear: the integer reference against TFLM (ONNX's forms: test_resize.py)."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from tflite_case import check_case, import_case, int8, ints

from mcugen.ops import OPS
from mcugen.read.tflite_import import OperatorFault

MODES = [(False, False), (True, False), (False, True)]


@pytest.mark.parametrize(("corners", "centers"), MODES)
def test_equals_tflm(corners: bool, centers: bool) -> None:
    options = {"align_corners": corners, "half_pixel_centers": centers}
    shapes = [(1, 4, 5, 3), (1, 1, 9, 2), (1, 7, 7, 1), (1, 16, 12, 2)]
    sizes = [(8, 10), (4, 5), (7, 3), (2, 2), (1, 13), (23, 1), (31, 29), (1, 1)]
    for seed, (shape, size) in enumerate(itertools.product(shapes, sizes)):
        out = (1, *size, shape[3])
        check_case("RESIZE_BILINEAR", options, [int8(shape), ints(size)], [int8(out)], seed)


@pytest.mark.parametrize(("corners", "centers"), MODES)
def test_many_sizes_equal_tflm(corners: bool, centers: bool) -> None:
    """Steps of 1/1024 do not divide evenly: the last outputs can lie behind the last input or fall short of it."""
    options = {"align_corners": corners, "half_pixel_centers": centers}
    pairs = [*itertools.product(range(1, 10), repeat=2), (3, 70), (40, 250), (900, 7), (100, 97)]
    for a, b in pairs:
        check_case("RESIZE_BILINEAR", options, [int8((1, 1, a, 2)), ints(1, b)], [int8((1, 1, b, 2))])


def test_places_stay_inside() -> None:
    """Far upscaling rounds the step up until places lie a whole element behind the last one: TFLM reads there what
    comes next in memory, we the last element."""
    graph = import_case("RESIZE_BILINEAR", {}, [int8((1, 1, 2, 1)), ints(1, 2300)], [int8((1, 1, 2300, 1))])
    x = np.array([5, 9], np.int8).reshape(1, 1, 2, 1)
    (y,) = OPS["resize_bilinear"].reference(graph.nodes[0], graph, [x])
    assert y.reshape(-1)[1024:].tolist() == [9] * 1276


@pytest.mark.parametrize(
    ("options", "size", "why"),
    [
        ({"align_corners": True, "half_pixel_centers": True}, (4, 4), "align_corners together"),
        ({}, (4,), "the size"),
        ({}, (0, 4), "resizing"),
        ({}, (1 << 20, 4), "beyond 32,768 elements"),
    ],
)
def test_what_tflite_imports_refuse(options: dict, size: tuple[int, ...], why: str) -> None:
    with pytest.raises(OperatorFault, match=why):
        import_case("RESIZE_BILINEAR", options, [int8((1, 2, 2, 1)), ints([*size])], [int8((1, 4, 4, 1))])
