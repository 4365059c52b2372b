"""slice: output index i of an axis is input index begin + i * step, 0 <= i < size.

Attributes begin, step (positive or negative) and size hold one integer per axis. Same quantization
in and out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mcugen.ir import Array, Graph, Node, TensorType
from mcugen.ops.gather import split_neighbours
from mcugen.ops.op import Op

if TYPE_CHECKING:
    from mcugen.read.onnx_import import Importer, OnnxNode
    from mcugen.read.tflite_import import TfliteImporter, TfliteNode

Span = tuple[int, int, int]  # begin, step, size


def _emit(ctx: Importer, n: OnnxNode, x: str, spans: dict[int, Span]) -> str:
    """A slice of the given axes; no node where all is taken."""
    shape = ctx.shape(x)
    full = [spans.get(axis, (0, 1, size)) for axis, size in enumerate(shape)]
    if all(span == (0, 1, size) for span, size in zip(full, shape, strict=True)):
        return x
    if any(size < 1 for _, _, size in full):
        ctx.unsupported(n, f"nothing of {list(shape)} is left", "export without empty tensors")
    begin, step, size = (tuple(part) for part in zip(*full, strict=True))
    return ctx.emit(n, "slice", [x], {"begin": begin, "step": step, "size": size})


def clamped_span(start: int, end: int, step: int, dim: int) -> Span:
    """ONNX's rules for starts and ends that are negative or lie outside of an axis of size dim."""
    low, high = (0, dim) if step > 0 else (-1, dim - 1)
    start, end = (value + dim if value < 0 else value for value in (start, end))
    start = min(max(start, 0), high)
    end = min(max(end, low), high)
    return start, step, max(-((start - end) // step), 0)


def import_slice(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    x = n.inputs[0]
    shape = ctx.shape(x)
    starts, ends = ctx.ints(n, 1, "starts"), ctx.ints(n, 2, "ends")
    if starts is None or ends is None:
        ctx.invalid(n, "starts or ends are missing")
    axes = ctx.ints(n, 3, "axes") or tuple(range(len(starts)))
    steps = ctx.ints(n, 4, "steps") or (1,) * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        ctx.invalid(n, "starts, ends, axes and steps do not fit together")
    spans: dict[int, Span] = {}
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        where = ctx.axis(n, axis, len(shape))
        if where in spans:
            ctx.invalid(n, f"axis {where} is sliced twice")
        spans[where] = clamped_span(start, end, step, shape[where])
    return [_emit(ctx, n, x, spans)]


def import_split(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    """One slice per output; outputs that nobody reads are dropped later."""
    x, parts = n.inputs[0], len(n.outputs)
    shape = ctx.shape(x)
    axis = ctx.axis(n, int(n.attr("axis", 0)), len(shape))
    sizes = ctx.ints(n, 1, "split")
    if sizes is None:
        size = -(-shape[axis] // parts)
        if shape[axis] % parts and n.attr("num_outputs") is None:
            ctx.invalid(n, f"axis {axis} of {list(shape)} cannot be split into {parts} equal parts")
        sizes = (*(size,) * (parts - 1), shape[axis] - size * (parts - 1))
    if len(sizes) != parts or sum(sizes) != shape[axis] or min(sizes) < 0:
        ctx.invalid(n, f"axis {axis} of {list(shape)} cannot be split into {list(sizes)}")
    begins = [sum(sizes[:i]) for i in range(parts)]
    return [
        _emit(ctx, n, x, {axis: (begin, 1, size)}) if output else ""
        for output, begin, size in zip(n.outputs, begins, sizes, strict=True)
    ]


def import_gather(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    """Gather with constant indices: in arithmetic progression a slice and a reshape."""
    x = n.inputs[0]
    if ctx.value(x) is not None:
        fix = "cut the model behind the look-up and do it in firmware"
        ctx.unsupported(n, "a table look-up by computed indices is not supported", fix)
    shape = ctx.shape(x)
    axis = ctx.axis(n, int(n.attr("axis", 0)), len(shape))
    indices = ctx.ints(n, 1, "indices")
    assert indices is not None  # the input is required, and the file has been checked
    if not indices:
        ctx.unsupported(n, f"nothing of {list(shape)} is left", "export without empty tensors")
    if not all(-shape[axis] <= i < shape[axis] for i in indices):
        ctx.invalid(n, f"indices {list(indices)} beyond axis {axis} of {list(shape)}")
    places = [i % shape[axis] for i in indices]
    step = places[1] - places[0] if len(places) > 1 else 1
    if step == 0 or any(b - a != step for a, b in zip(places, places[1:], strict=False)):
        (chosen,) = split_neighbours({axis: places}, len(shape))
        y = ctx.emit(n, "gather", [x], {"indices": chosen})
    else:
        y = _emit(ctx, n, x, {axis: (places[0], step, len(places))})
    return [ctx.reshape(n, y, (*shape[:axis], *ctx.shape(n.inputs[1]), *shape[axis + 1 :]))]


def _strided_span(
    begin: int, end: int, step: int, dim: int, no_begin: bool, no_end: bool, single: bool
) -> Span:
    """One axis of STRIDED_SLICE: what lies outside of it is cut off."""
    if step == 0:
        raise ValueError("a stride of 0")
    low, high = (0, dim) if step > 0 else (-1, dim - 1)
    begin, end = (v + dim if v < 0 else v for v in (begin, end))
    begin = (low if step > 0 else high) if no_begin else min(max(begin, low), high)
    if single:
        return begin, 1, 1
    end = (high if step > 0 else low) if no_end else min(max(end, low), high)
    return begin, step, max(-((begin - end) // step), 0)


def strided_spans(
    shape: Sequence[int],
    begin: Sequence[int],
    end: Sequence[int],
    strides: Sequence[int],
    options: Mapping[str, Any],
) -> tuple[list[Span], tuple[int, ...]]:
    """STRIDED_SLICE: spans of all axes of `shape`, and the result's shape once axes are dropped and added.

    The options are its masks, a bit per entry of begin. Raises ValueError where they contradict the shape.
    """
    if not len(begin) == len(end) == len(strides):
        raise ValueError("begin, end and strides differ in length")
    masks = {
        key: int(options[f"{key}_mask"]) for key in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    }
    bits = [{key: bool(mask >> i & 1) for key, mask in masks.items()} for i in range(len(begin))]
    new = sum(b["new_axis"] and not b["ellipsis"] for b in bits)
    dots = [i for i, b in enumerate(bits) if b["ellipsis"]]
    covered = len(begin) - new - len(dots)
    if len(dots) > 1 or covered > len(shape):
        raise ValueError(f"{len(begin)} entries for the shape {list(shape)}")
    spans: list[Span] = []
    result: list[int] = []
    rest = len(shape) - covered  # axes that an ellipsis, or the end, takes whole
    for i, b in enumerate(bits):
        if b["ellipsis"]:
            whole = shape[len(spans) : len(spans) + rest]
            spans += [(0, 1, d) for d in whole]
            result += whole
        elif b["new_axis"]:
            result.append(1)
        else:
            dim = shape[len(spans)]
            span = _strided_span(begin[i], end[i], strides[i], dim, b["begin"], b["end"], b["shrink_axis"])
            if b["shrink_axis"] and not -dim <= begin[i] < dim:
                raise ValueError(f"index {begin[i]} beyond an axis of size {dim}")
            spans.append(span)
            if not b["shrink_axis"]:
                result.append(span[2])
    whole = shape[len(spans) :]
    return [*spans, *((0, 1, d) for d in whole)], (*result, *whole)


def _emit_tflite(ctx: TfliteImporter, n: TfliteNode, out: int, spans: Sequence[Span]) -> str:
    """The file's output `out` as a slice of x, possibly under another shape."""
    x = n.inputs[1] if n.op_type == "SPLIT" else n.inputs[0]
    if any(size < 1 for _, _, size in spans):
        ctx.unsupported(n, f"nothing of {list(ctx.shape(x))} is left", "convert without empty tensors")
    begin, step, size = (tuple(part) for part in zip(*spans, strict=True)) if spans else ((), (), ())
    old, attrs = ctx.type(x), {"begin": begin, "step": step, "size": size}
    if ctx.shape(n.outputs[out]) == size:
        return ctx.emit(n, "slice", [x], attrs, out)
    y = ctx.emit_typed(n, "slice", [x], attrs, TensorType(size, old.dtype, old.quant), out)
    return ctx.emit(n, "reshape", [y], {"shape": ctx.shape(n.outputs[out])}, out)


def import_strided_slice(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    """TFLite STRIDED_SLICE with constant begin, end and strides."""
    begin, end, strides = (ctx.ints(n, i) for i in (1, 2, 3))
    if begin is None or end is None or strides is None:
        ctx.invalid(n, "begin, end or strides are missing")
    if n.options["offset"]:
        end = tuple(b + e for b, e in zip(begin, end, strict=False))
    try:
        spans, shape = strided_spans(ctx.shape(n.inputs[0]), begin, end, strides, n.options)
    except ValueError as error:
        ctx.invalid(n, str(error))
    ctx.set_shape(n, 0, shape)
    return [_emit_tflite(ctx, n, 0, spans)]


def import_tflite_slice(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    """TFLite SLICE: begins and sizes, of which -1 takes the rest."""
    shape = ctx.shape(n.inputs[0])
    begin, size = ctx.ints(n, 1), ctx.ints(n, 2)
    if begin is None or size is None or not len(begin) == len(size) == len(shape):
        ctx.invalid(n, f"begin {begin} and size {size} for the shape {list(shape)}")
    sizes = [d - b if s == -1 else s for b, s, d in zip(begin, size, shape, strict=True)]
    if any(b < 0 or s < 0 or b + s > d for b, s, d in zip(begin, sizes, shape, strict=True)):
        ctx.invalid(n, f"{list(size)} elements from {list(begin)} of the shape {list(shape)}")
    ctx.set_shape(n, 0, sizes)
    return [_emit_tflite(ctx, n, 0, [(b, 1, s) for b, s in zip(begin, sizes, strict=True)])]


def import_tflite_split(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    """TFLite SPLIT (axis, x) into equal parts and SPLIT_V (x, sizes, axis), where one size may be -1."""
    equal, parts = n.op_type == "SPLIT", len(n.outputs)
    shape = ctx.shape(n.inputs[1 if equal else 0])
    given = ctx.ints(n, 0 if equal else 2)
    if given is None or len(given) != 1:
        ctx.invalid(n, "the axis is missing")
    axis = ctx.axis(n, given[0], len(shape))
    sizes = [shape[axis] // parts] * parts if equal else list(ctx.ints(n, 1) or ())
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = shape[axis] - sum(sizes) - 1
    if len(sizes) != parts or sum(sizes) != shape[axis] or min(sizes) < 0:
        ctx.invalid(n, f"axis {axis} of {list(shape)} cannot be split into {sizes}")
    names = []
    for i, size in enumerate(sizes):
        spans = [(0, 1, d) for d in shape]
        spans[axis] = (sum(sizes[:i]), 1, size)
        ctx.set_shape(n, i, [d for _, _, d in spans])
        names.append(_emit_tflite(ctx, n, i, spans))
    return names


class Slice(Op):
    name = "slice"
    restrictions = (
        "constant begins, ends, sizes, steps and indices; something is left",
        "Gather: no look-up in a constant table",
    )
    onnx = {"Slice": import_slice, "Split": import_split, "Gather": import_gather}
    tflite = {
        "SLICE": import_tflite_slice,
        "SPLIT": import_tflite_split,
        "SPLIT_V": import_tflite_split,
        "STRIDED_SLICE": import_strided_slice,
    }

    def infer(self, node: Node, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        shape = inputs[0].shape
        begin, step, size = (node.attrs[name] for name in ("begin", "step", "size"))
        if not len(begin) == len(step) == len(size) == len(shape):
            raise ValueError(f"a slice of {len(begin)} axes of {list(shape)}")
        for b, t, s, dim in zip(begin, step, size, shape, strict=True):
            if s < 1 or t == 0 or not 0 <= b < dim or not 0 <= b + (s - 1) * t < dim:
                raise ValueError(f"{s} elements from {b} in steps of {t} do not lie in {list(shape)}")
        return (TensorType(tuple(size)),)

    def batchable(self, node: Node, graph: Graph) -> bool:
        a = node.attrs
        return (a["begin"][0], a["step"][0], a["size"][0]) == (0, 1, graph.type(node.inputs[0]).shape[0])

    def same_quant(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (node.inputs[0], node.outputs[0])

    def _cut(self, node: Node, graph: Graph, x: Array) -> Array:
        parts = []
        for b, t, s in zip(node.attrs["begin"], node.attrs["step"], node.attrs["size"], strict=True):
            end = b + s * t
            parts.append(slice(b, end if end >= 0 else None, t))
        if self.batchable(node, graph):
            parts[0] = slice(None)  # all samples
        return np.ascontiguousarray(x[tuple(parts)])

    def float_reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        return (self._cut(node, graph, xs[0]),)

    def reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        return (self._cut(node, graph, xs[0]),)
