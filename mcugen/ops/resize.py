"""Resizing images: only imports, as a gather of rows and columns (nearest) or as resize_bilinear (linear)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mcugen.ir import Array
from mcugen.ops.gather import split_neighbours
from mcugen.ops.op import Op

if TYPE_CHECKING:
    from mcugen.read.onnx_import import Importer, OnnxNode
    from mcugen.read.tflite_import import TfliteImporter, TfliteNode

NEAREST_COORDINATES = (
    "asymmetric",
    "half_pixel",
    "pytorch_half_pixel",
    "align_corners",
    "tf_half_pixel_for_nn",
)
NEAREST_MODES = ("simple", "floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
LINEAR_COORDINATES = ("asymmetric", "half_pixel", "pytorch_half_pixel", "align_corners")


@dataclass(frozen=True)
class _Axis:
    """One axis to resize: `size` elements to `out`; `scale` as the file says, float32."""

    size: int
    out: int
    scale: np.float32


def _float_list(ctx: Importer, n: OnnxNode, index: int) -> list[np.float32] | None:
    if not n.has_input(index):
        return None
    data = ctx.constant_input(n, index, "scales").reshape(-1)
    return [np.float32(v) for v in data] or None


def _axes(ctx: Importer, n: OnnxNode) -> dict[int, _Axis]:
    """The axes whose size changes. Scales are an attribute, input 1 or input 2, sizes input 3."""
    shape = ctx.shape(n.inputs[0])
    if n.op_type == "Upsample" and ctx.opset < 9:
        scales: list[np.float32] | None = [np.float32(s) for s in n.attr("scales") or ()]
    else:
        scales = _float_list(ctx, n, 1 if n.op_type == "Upsample" or ctx.opset < 11 else 2)
    sizes = ctx.ints(n, 3, "sizes") if scales is None else None
    given = n.attr("axes")
    axes = range(len(shape)) if given is None else [ctx.axis(n, a, len(shape)) for a in given]
    if scales is not None and len(scales) == len(axes) and min(scales) > 0:
        found = {
            a: _Axis(shape[a], int(np.float32(shape[a]) * s), s) for a, s in zip(axes, scales, strict=True)
        }
    elif sizes is not None and len(sizes) == len(axes):
        found = {
            a: _Axis(shape[a], s, np.float32(s) / np.float32(shape[a]))
            for a, s in zip(axes, sizes, strict=True)
        }
    else:
        ctx.invalid(n, f"scales {scales} or sizes {sizes} for {len(axes)} axes")
    if any(axis.out < 1 or axis.out >= 1 << 15 for axis in found.values()):
        ctx.invalid(n, f"a size of {[axis.out for axis in found.values()]}")
    return {a: axis for a, axis in found.items() if axis.out != axis.size or axis.scale != 1}


def _nearest_places(axis: _Axis, coordinates: str, mode: str) -> Array:
    """Which element each output takes, in float32 as onnxruntime computes it."""
    i, half = np.arange(axis.out, dtype=np.float32), np.float32(0.5)
    if coordinates == "asymmetric":
        x = i / axis.scale
    elif coordinates == "align_corners":
        x = i * np.float32(axis.size - 1) / np.float32(max(axis.out - 1, 1))
    elif coordinates == "tf_half_pixel_for_nn":
        x = (i + half) / axis.scale
    elif coordinates == "pytorch_half_pixel" and axis.out == 1:
        x = np.zeros(1, np.float32)
    else:
        x = (i + half) / axis.scale - half
    if mode == "round_prefer_floor":
        places = np.ceil(x - half)
    elif mode == "round_prefer_ceil":
        places = np.floor(x + half)
    else:
        up = mode == "ceil" or (mode == "simple" and axis.scale < 1)
        places = np.ceil(x) if up else np.floor(x)
    return np.asarray(np.clip(places, 0, axis.size - 1).astype(np.int64))


def _import_nearest(ctx: Importer, n: OnnxNode, axes: dict[int, _Axis], coordinates: str) -> str:
    mode = n.attr("nearest_mode", "round_prefer_floor") if ctx.opset >= 11 else "simple"
    mode = "simple" if n.op_type == "Upsample" else mode
    if coordinates not in NEAREST_COORDINATES or mode not in NEAREST_MODES:
        fix = "export with asymmetric, half_pixel or align_corners"
        ctx.unsupported(n, f"nearest with {coordinates}, {mode} is not supported", fix)
    x = n.inputs[0]
    chosen = {a: _nearest_places(axis, coordinates, mode).tolist() for a, axis in axes.items()}
    for indices in split_neighbours(chosen, len(ctx.shape(x))):
        x = ctx.emit(n, "gather", [x], {"indices": indices})
    return x


def _import_linear(ctx: Importer, n: OnnxNode, axes: dict[int, _Axis], coordinates: str) -> str:
    if coordinates not in LINEAR_COORDINATES:
        fix = "export with asymmetric, half_pixel or align_corners"
        ctx.unsupported(n, f"linear with {coordinates} is not supported", fix)
    if coordinates == "pytorch_half_pixel":
        if any(axis.out == 1 for axis in axes.values()):
            fix = "use an average pooling, or half_pixel"
            ctx.unsupported(n, "pytorch_half_pixel to a size of 1 is not supported", fix)
        coordinates = "half_pixel"
    for axis in axes.values():
        whole = abs(float(axis.scale) * axis.size - axis.out) < 1e-3
        if coordinates != "align_corners" and not whole:
            why = f"a scale of {axis.scale:g} gives no whole number of {axis.size} elements"
            ctx.unsupported(n, why, "export with sizes instead of scales")
        if n.attr("antialias", 0) and axis.out < axis.size:
            ctx.unsupported(n, "antialias is not supported", "export without, or resize before the model")
    x, shape = n.inputs[0], ctx.shape(n.inputs[0])
    if set(axes) <= {2, 3} and len(shape) in (3, 4):
        nhwc, last = ctx.to_channels_last(n, x), False
    elif set(axes) <= {1, 2} and len(shape) == 4:
        nhwc, last = x, True
    else:
        ctx.unsupported(
            n, f"linear resizing of axes {sorted(axes)} of {list(shape)}", "resize height and width"
        )
    image = ctx.shape(nhwc)[1:3]
    first = 1 if last else 2
    size = tuple(axes[first + i].out if first + i in axes else image[i] for i in range(2))
    y = ctx.emit(n, "resize_bilinear", [nhwc], {"size": size, "coordinates": coordinates})
    return y if last else ctx.from_channels_last(n, y, rank=len(shape))


def import_resize(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    """ONNX Resize and Upsample of constant sizes, nearest and linear."""
    if n.attr("keep_aspect_ratio_policy", "stretch") != "stretch":
        ctx.unsupported(n, "keep_aspect_ratio_policy is not supported", "export with the resulting sizes")
    old = n.op_type == "Upsample" or ctx.opset < 11
    coordinates = "asymmetric" if old else n.attr("coordinate_transformation_mode", "half_pixel")
    mode, axes = n.attr("mode", "nearest"), _axes(ctx, n)
    if mode not in ("nearest", "linear"):
        ctx.unsupported(n, f"{mode} resizing is not supported", "use nearest or linear")
    if not axes:
        return [ctx.resolve(n.inputs[0])]
    make = _import_nearest if mode == "nearest" else _import_linear
    return [make(ctx, n, axes, coordinates)]


def tflite_places(size: int, out: int, align_corners: bool, half_pixel_centers: bool) -> tuple[int, ...]:
    """Which element each output of RESIZE_NEAREST_NEIGHBOR takes, in float32 (LiteRT
    kernels/internal/reference/resize_nearest_neighbor.h, GetNearestNeighbor)."""
    one = np.float32(1)
    extent, parts = (size - 1, out - 1) if align_corners and out > 1 else (size, out)
    scale = np.float32(extent) * one / np.float32(parts)
    x = (np.arange(out, dtype=np.float32) + np.float32(0.5 if half_pixel_centers else 0.0)) * scale
    places = np.floor(x.astype(np.float64) + 0.5) if align_corners else np.floor(x)
    return tuple(int(p) for p in np.clip(places, 0, size - 1))


def import_tflite_resize_nearest(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    """RESIZE_NEAREST_NEIGHBOR [x, size (height, width)]."""
    x, size = n.inputs[0], ctx.ints(n, 1)
    shape = ctx.shape(x)
    if size is None or len(size) != 2 or len(shape) != 4 or not 1 <= min(size) <= max(size) < 1 << 15:
        ctx.invalid(n, f"resizing {list(shape)} to {size}")
    how = (bool(n.options.get("align_corners", False)), bool(n.options.get("half_pixel_centers", False)))
    rows, columns = (tflite_places(d, s, *how) for d, s in zip(shape[1:3], size, strict=True))
    return [ctx.emit(n, "gather", [x], {"indices": (None, rows, columns, None)})]


class Resize(Op):
    """No node of a graph: the imports make gather and resize_bilinear nodes."""

    name = "resize"
    restrictions = (
        "constant sizes or scales, below 32,768 elements; nearest and linear",
        "not keep_aspect_ratio_policy, tf_crop_and_resize, or antialias where it shrinks",
        "linear: of height and width, by scales that give whole sizes (but with align_corners)",
        "linear: pytorch_half_pixel not to a size of 1",
    )
    onnx = {"Resize": import_resize, "Upsample": import_resize}
    tflite = {"RESIZE_NEAREST_NEIGHBOR": import_tflite_resize_nearest}
