"""PACK and UNPACK of .tflite: only imports, as concatenations or slices, and reshapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mcugen.ops.op import Op

if TYPE_CHECKING:
    from mcugen.read.tflite_import import TfliteImporter, TfliteNode


def import_pack(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    """The inputs, of one shape, one behind the other along a new axis."""
    shape = ctx.shape(n.inputs[0])
    axis = ctx.axis(n, int(n.options.get("axis", 0)), len(shape) + 1)
    out = (*shape[:axis], len(n.inputs), *shape[axis:])
    if len({ctx.shape(i) for i in n.inputs}) != 1 or len(n.inputs) != n.options.get("values_count"):
        ctx.invalid(n, f"inputs of the shapes {[list(ctx.shape(i)) for i in n.inputs]}")
    if len(n.inputs) == 1:
        return [ctx.emit(n, "reshape", n.inputs, {"shape": out})]
    part = (*shape[:axis], 1, *shape[axis:])
    parts = []
    for name in n.inputs:
        value = ctx.value(name)
        if value is None:
            parts.append(ctx.reshape(n, name, part))
        else:
            parts.append(ctx.add(n, value.reshape(part), replace(ctx.type(name), shape=part)))
    return [ctx.emit(n, "concat", parts, {"axis": axis})]


def import_unpack(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    """One output for each index of an axis, which goes."""
    x = n.inputs[0]
    old = ctx.type(x)
    axis = ctx.axis(n, int(n.options.get("axis", 0)), len(old.shape))
    if old.shape[axis] != len(n.outputs) or n.options.get("num") != len(n.outputs):
        ctx.invalid(n, f"axis {axis} of {list(old.shape)} for {len(n.outputs)} outputs")
    size = tuple(1 if i == axis else d for i, d in enumerate(old.shape))
    out = (*old.shape[:axis], *old.shape[axis + 1 :])
    results = []
    for index in range(len(n.outputs)):
        begin = tuple(index if i == axis else 0 for i in range(len(size)))
        attrs = {"begin": begin, "step": (1,) * len(size), "size": size}
        part = x
        if len(n.outputs) > 1:
            part = ctx.emit_typed(n, "slice", [x], attrs, replace(old, shape=size), index)
        results.append(ctx.emit(n, "reshape", [part], {"shape": out}, out=index))
    return results


class Pack(Op):
    """No node of a graph: the imports make concat, slice and reshape nodes."""

    name = "pack"
    tflite = {"PACK": import_pack, "UNPACK": import_unpack}
