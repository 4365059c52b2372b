"""concat, slice, transpose, pad, mirror_pad and variables in plain C for every core: strided copies of up to 6 axes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mcugen.access import Access, Ints
from mcugen.boards import Board
from mcugen.ir import DType, Graph, Node
from mcugen.kernels.kernel import Call, Kernel, Tables, Value
from mcugen.ops.pad import fill_value

AXES = 6  # as in the template


@dataclass(frozen=True)
class Copy:
    """Bytes (or elements, on the way) x[x_begin + sum i*x_stride] -> y[y_begin + sum i*y_stride], the last index
    fastest."""

    input: str
    size: tuple[int, ...]
    x_stride: tuple[int, ...]
    y_stride: tuple[int, ...]
    x_begin: int = 0
    y_begin: int = 0

    def offsets(self, begin: int, stride: Sequence[int]) -> Ints:
        """Where the elements lie in one of the two tensors, in the order of copying: int64 [elements]."""
        grid = np.full((1,) * len(self.size), begin, np.int64)
        for axis, (size, step) in enumerate(zip(self.size, stride, strict=True)):
            index = np.arange(size, dtype=np.int64) * step
            grid = grid + index.reshape((-1,) + (1,) * (len(self.size) - 1 - axis))
        return np.asarray(grid.reshape(-1))


def _strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Elements from one index to the next along each axis of a dense tensor."""
    return tuple(int(np.prod(shape[i + 1 :], dtype=np.int64)) for i in range(len(shape)))


def _merged(copy: Copy) -> Copy:
    """The same copy with as few axes as possible; at least one."""
    axes: list[tuple[int, int, int]] = []  # size, x stride, y stride
    for size, xs, ys in zip(copy.size, copy.x_stride, copy.y_stride, strict=True):
        if size == 1:
            continue
        if axes and axes[-1][1] == xs * size and axes[-1][2] == ys * size:
            axes[-1] = (axes[-1][0] * size, xs, ys)
        else:
            axes.append((size, xs, ys))
    sizes, x_strides, y_strides = zip(*(axes or [(1, 1, 1)]), strict=True)
    return Copy(copy.input, sizes, x_strides, y_strides, copy.x_begin, copy.y_begin)


def copies(node: Node, graph: Graph) -> Iterator[Copy]:
    """In the order in which they run: one copy per input, or the input's first and then some of the output itself.
    In bytes: wider elements are one more axis."""
    size = graph.type(node.outputs[0]).dtype.size
    for copy in _copies(node, graph):
        yield copy if size == 1 else _bytewise(copy, size)


def _bytewise(copy: Copy, size: int) -> Copy:
    x_stride, y_stride = (tuple(s * size for s in stride) for stride in (copy.x_stride, copy.y_stride))
    wide = Copy(
        copy.input,
        (*copy.size, size),
        (*x_stride, 1),
        (*y_stride, 1),
        copy.x_begin * size,
        copy.y_begin * size,
    )
    return _merged(wide)


def _copies(node: Node, graph: Graph) -> Iterator[Copy]:
    """The copies in elements."""
    x, y = graph.type(node.inputs[0]).shape, graph.type(node.outputs[0]).shape
    x_stride, y_stride = _strides(x), _strides(y)
    if node.op == "concat":
        begin = 0
        for name in node.inputs:
            shape = graph.type(name).shape
            yield _merged(Copy(name, shape, _strides(shape), y_stride, y_begin=begin))
            begin += shape[node.attrs["axis"]] * y_stride[node.attrs["axis"]]
    elif node.op in ("read_variable", "assign_variable"):
        yield _merged(Copy(node.inputs[0], x, x_stride, y_stride))
    elif node.op == "transpose":
        yield _merged(Copy(node.inputs[0], y, tuple(x_stride[p] for p in node.attrs["perm"]), y_stride))
    elif node.op == "slice":
        begin = sum(b * s for b, s in zip(node.attrs["begin"], x_stride, strict=True))
        steps = tuple(t * s for t, s in zip(node.attrs["step"], x_stride, strict=True))
        yield _merged(Copy(node.inputs[0], y, steps, y_stride, x_begin=begin))
    else:
        begin = sum(before * s for (before, _), s in zip(node.attrs["pads"], y_stride, strict=True))
        yield _merged(Copy(node.inputs[0], x, x_stride, y_stride, y_begin=begin))
        if node.op == "mirror_pad":
            yield from _mirrored(node, x, y_stride)


def _mirrored(node: Node, x: Sequence[int], stride: tuple[int, ...]) -> Iterator[Copy]:
    """What surrounds the input in the output, axis by axis: copies of what is already there."""
    done = list(x)  # the part of the output that is complete
    start = [before for before, _ in node.attrs["pads"]]
    for axis, (before, after) in enumerate(node.attrs["pads"]):
        step = 0 if node.attrs["mode"] == "edge" else -1
        first = 1 if node.attrs["mode"] == "reflect" else 0  # how far from the edge the mirroring begins
        last = before + x[axis] - 1
        # before the input downwards, behind it upwards
        for size, source, place, direction in (
            (before, before + first, before - 1, -1),
            (after, last - first, last + 1, 1),
        ):
            if size:
                sizes = (*done[:axis], size, *done[axis + 1 :])
                origin = sum(b * s for i, (b, s) in enumerate(zip(start, stride, strict=True)) if i != axis)
                x_stride, y_stride = (
                    (*stride[:axis], t * stride[axis], *stride[axis + 1 :])
                    for t in (step * direction, direction)
                )
                x_begin, y_begin = origin + source * stride[axis], origin + place * stride[axis]
                yield _merged(Copy(node.outputs[0], sizes, x_stride, y_stride, x_begin, y_begin))
        done[axis] += before + after
        start[axis] = 0


def _fill(node: Node, graph: Graph) -> tuple[int, ...]:
    """Four bytes int8 of the elements that a pad fills with."""
    dtype = graph.type(node.outputs[0]).dtype.numpy
    return tuple(int(b) for b in np.full(4 // dtype.itemsize, fill_value(node, graph), dtype).view(np.int8))


class CopyPortable(Kernel):
    name = "copy_portable"
    types = tuple((dtype, dtype) for dtype in DType)
    headers = ("mcugen_words.h",)
    ops = ("concat", "slice", "transpose", "pad", "mirror_pad", "read_variable", "assign_variable")
    limits = ("at most 6 axes after merging them",)

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        most = max(len(copy.size) for copy in copies(node, graph))
        return None if most <= AXES else f"{most} axes remain to be copied, at most {AXES} can be"

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        parts = list(copies(node, graph))
        runs = sum(math.prod(copy.size[:-1]) for copy in parts)
        each = 2.0 if all(copy.x_stride[-1] == copy.y_stride[-1] == 1 for copy in parts) else 8.0
        return each * graph.type(node.outputs[0]).bytes + 40.0 * runs

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        """Element by element over all copies; copies of others than this input are steps that read nothing of it."""
        if node.op == "pad":  # the fill comes first
            return (None,)
        parts = list(copies(node, graph))
        write = np.concatenate([part.offsets(part.y_begin, part.y_stride) for part in parts])
        starts = np.cumsum([0, *(math.prod(part.size) for part in parts)])
        accesses: list[Access | None] = []
        for part, start in zip(parts, starts[:-1], strict=True):
            if part.input in node.outputs:
                continue
            read = part.offsets(part.x_begin, part.x_stride)
            begin, end = np.zeros_like(write), np.zeros_like(write)
            begin[start : start + read.size] = read
            end[start : start + read.size] = read + 1
            accesses.append(Access(begin, end, write, write + 1, atomic=True))
        if node.op == "assign_variable":
            accesses.append(None)  # the state, which is written
        return tuple(accesses)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        pad = node.op == "pad"
        result = []
        for copy in copies(node, graph):
            missing = AXES - len(copy.size)
            fields: dict[str, Value] = {
                "size": (1,) * missing + copy.size,
                "x_stride": (0,) * missing + copy.x_stride,
                "y_stride": (0,) * missing + copy.y_stride,
                "x_begin": copy.x_begin,
                "y_begin": copy.y_begin,
                "fill_size": graph.type(node.outputs[0]).bytes if pad else 0,
                "fill": _fill(node, graph) if pad else (0, 0, 0, 0),
            }
            result.append(Call(fields, (copy.input,), node.outputs[0]))
        return result
