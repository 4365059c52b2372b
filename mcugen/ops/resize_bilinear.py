"""resize_bilinear: x [N, H, W, C] -> [N, Ho, Wo, C], interpolated between the four nearest elements; same
quantization in and out.

Attributes: size (Ho, Wo); coordinates, where output i of n lies in an input of m elements: "asymmetric" i m/n,
"half_pixel" (i + 1/2) m/n - 1/2, "align_corners" i (m - 1)/(n - 1); kept inside of the input.
Integer form: LiteRT kernels/internal/reference/resize_bilinear.h, ResizeBilinearInteger; places in 1/1024. Where it
would read behind the last element of an axis (far upscaling, whose rounded step is too long), that element.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mcugen.ir import Array, Graph, Node, TensorType
from mcugen.ops.op import Op

if TYPE_CHECKING:
    from mcugen.read.tflite_import import TfliteImporter, TfliteNode

COORDINATES = ("asymmetric", "half_pixel", "align_corners")
BITS = 10  # behind the point of a place
MAX_SIZE = 1 << 15  # of an axis: places fit int32


def import_tflite_resize_bilinear(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    """RESIZE_BILINEAR [x, size (height, width)]."""
    x, size = n.inputs[0], ctx.ints(n, 1)
    if size is None or len(size) != 2:
        ctx.invalid(n, f"the size {size} of an image")
    corners, centers = (n.options.get(name, False) for name in ("align_corners", "half_pixel_centers"))
    if corners and centers:
        ctx.unsupported(n, "align_corners together with half_pixel_centers", "use one of them")
    coordinates = "align_corners" if corners else "half_pixel" if centers else "asymmetric"
    return [ctx.emit(n, "resize_bilinear", [x], {"size": size, "coordinates": coordinates})]


def integer_places(node: Node, graph: Graph, axis: int) -> tuple[int, int, int]:
    """Step, begin and limit of the places along height (0) or width (1): that of output i is i * step + begin in
    1/1024, not below 0 nor above the limit."""
    size, out = graph.type(node.inputs[0]).shape[1 + axis], node.attrs["size"][axis]
    coordinates = node.attrs["coordinates"]
    corners = coordinates == "align_corners" and out > 1
    extent, parts = (size - 1, out - 1) if corners else (size, out)
    step = ((extent << BITS) + parts // 2) // parts
    begin = step // 2 - (1 << (BITS - 1)) if coordinates == "half_pixel" else 0
    return step, begin, (size - 1) << BITS


def _real_places(size: int, out: int, coordinates: str) -> Array:
    i = np.arange(out, dtype=np.float64)
    if coordinates == "align_corners":
        places = i * ((size - 1) / max(out - 1, 1))
    elif coordinates == "half_pixel":
        places = (i + 0.5) * (size / out) - 0.5
    else:
        places = i * (size / out)
    return np.clip(places, 0, size - 1)


def float_places(node: Node, graph: Graph, axis: int) -> tuple[Array, Array]:
    """For each output row (axis 0) or column (1) the input's before it, and how far behind that it lies: int64 and
    float32, 0 <= fraction <= 1; 0 at the last."""
    size, out = graph.type(node.inputs[0]).shape[1 + axis], node.attrs["size"][axis]
    places = _real_places(size, out, node.attrs["coordinates"])
    lower = np.floor(places).astype(np.int64)
    return lower, (places - lower).astype(np.float32)


def _between(x: Array, axis: int, lower: Array, fraction: Array, whole: float | np.float32) -> Array:
    """x[lower] * (whole - fraction) + x[upper] * fraction along an axis; upper is the next one if fraction > 0."""
    shape = [1] * x.ndim
    shape[axis] = -1
    weight = fraction.reshape(shape)
    upper = lower + (fraction > 0)
    return np.asarray(x.take(lower, axis) * (whole - weight) + x.take(upper, axis) * weight)


class ResizeBilinear(Op):
    name = "resize_bilinear"
    restrictions = (
        "constant sizes; axes below 32,768 elements",
        "TFLite: not align_corners together with half_pixel_centers",
    )
    tflite = {"RESIZE_BILINEAR": import_tflite_resize_bilinear}

    def infer(self, node: Node, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        shape, size = inputs[0].shape, node.attrs["size"]
        if len(shape) != 4 or len(size) != 2 or min(size) < 1 or node.attrs["coordinates"] not in COORDINATES:
            raise ValueError(f"resizing {list(shape)} to {list(size)}")
        if max(*shape[1:3], *size) >= MAX_SIZE:
            raise ValueError(f"resizing {list(shape)} to {list(size)}: beyond {MAX_SIZE:,} elements")
        return (TensorType((shape[0], size[0], size[1], shape[3])),)

    def same_quant(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (node.inputs[0], node.outputs[0])

    def float_reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        y = xs[0].astype(np.float64)
        for axis, out in enumerate(node.attrs["size"]):
            places = _real_places(y.shape[1 + axis], out, node.attrs["coordinates"])
            lower = np.floor(places).astype(np.int64)
            y = _between(y, 1 + axis, lower, places - lower, 1.0)
        return (y.astype(np.float32),)

    def float_exact(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        """a * (1 - f) + b * f between the rows a and b, then between the columns; f are rounded to float32."""
        y = xs[0]
        with np.errstate(all="ignore"):
            for axis in range(2):
                y = _between(y, 1 + axis, *float_places(node, graph, axis), np.float32(1.0))
        return (y,)

    def reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        y = xs[0].astype(np.int64)
        for axis, out in enumerate(node.attrs["size"]):
            step, begin, limit = integer_places(node, graph, axis)
            places = np.clip(np.arange(out, dtype=np.int64) * step + begin, 0, limit)
            y = _between(y, 1 + axis, places >> BITS, places & ((1 << BITS) - 1), 1 << BITS)
        half = 1 << (2 * BITS - 1)
        rounded = np.sign(y) * ((np.abs(y) + half) >> (2 * BITS))  # half away from zero
        return (rounded.astype(np.int8),)
