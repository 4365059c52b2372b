"""gather: along some axes the elements with the given indices: x [...] -> y [...] of the same rank; same quantization
in and out. Serves resizing to the nearest neighbour, too: rows and columns of an image, again and again or left out.

Attribute: indices, per axis None (all as they are) or a tuple of places, which are not negative; one axis has such a
tuple, or two that are neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mcugen.ir import Array, Graph, Node, TensorType
from mcugen.ops.op import Op

if TYPE_CHECKING:
    from mcugen.read.tflite_import import TfliteImporter, TfliteNode

Indices = tuple[tuple[int, ...] | None, ...]


def gathered_axes(indices: Indices) -> list[int]:
    """The axes that have indices."""
    return [axis for axis, places in enumerate(indices) if places is not None]


def split_neighbours(chosen: Mapping[int, Sequence[int]], rank: int) -> list[Indices]:
    """Indices of one gather after the other, each of at most two neighbouring axes."""
    axes, parts = sorted(chosen), []
    while axes:
        some = axes[:2] if axes[1:2] == [axes[0] + 1] else axes[:1]
        axes = axes[len(some) :]
        parts.append(tuple(tuple(chosen[i]) if i in some else None for i in range(rank)))
    return parts


def import_tflite_gather(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    """GATHER [x, constant positions] along the option `axis`; the positions' own axes take its place."""
    x, positions = n.inputs[0], ctx.ints(n, 1)
    if ctx.value(x) is not None:
        fix = "cut the model behind the look-up and do it in firmware"
        ctx.unsupported(n, "a table look-up by computed indices is not supported", fix)
    if n.options.get("batch_dims", 0):
        ctx.unsupported(n, "batch_dims is not supported", "use Gather without batch_dims, or slices")
    shape = ctx.shape(x)
    axis = ctx.axis(n, int(n.options.get("axis", 0)), len(shape))
    if not positions or not all(0 <= i < shape[axis] for i in positions):
        ctx.invalid(n, f"positions {list(positions or ())} along axis {axis} of {list(shape)}")
    (indices,) = split_neighbours({axis: positions}, len(shape))
    out = (*shape[:axis], *ctx.shape(n.inputs[1]), *shape[axis + 1 :])
    if len(ctx.shape(n.inputs[1])) == 1:
        return [ctx.emit(n, "gather", [x], {"indices": indices})]
    old = ctx.type(n.outputs[0])
    made = TensorType((*shape[:axis], len(positions), *shape[axis + 1 :]), old.dtype, old.quant)
    y = ctx.emit_typed(n, "gather", [x], {"indices": indices}, made)
    return [ctx.emit(n, "reshape", [y], {"shape": out})]


class Gather(Op):
    name = "gather"
    restrictions = (
        "TFLite: constant positions, not negative; no batch_dims; no look-up in a constant table",
    )
    tflite = {"GATHER": import_tflite_gather}

    def infer(self, node: Node, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        shape, indices = inputs[0].shape, node.attrs["indices"]
        axes = gathered_axes(indices)
        if len(indices) != len(shape) or not axes or axes[-1] - axes[0] != len(axes) - 1 or len(axes) > 2:
            raise ValueError(f"indices of axes {axes} of {list(shape)}")
        for axis in axes:
            if not indices[axis] or min(indices[axis]) < 0 or max(indices[axis]) >= shape[axis]:
                raise ValueError(f"indices that do not lie in axis {axis} of {list(shape)}")
        sizes = (d if places is None else len(places) for d, places in zip(shape, indices, strict=True))
        return (TensorType(tuple(sizes)),)

    def batchable(self, node: Node, graph: Graph) -> bool:
        return node.attrs["indices"][0] is None

    def same_quant(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (node.inputs[0], node.outputs[0])

    def float_reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        y = xs[0]
        for axis in gathered_axes(node.attrs["indices"]):
            y = y.take(node.attrs["indices"][axis], axis)
        return (np.ascontiguousarray(y),)

    reference = float_reference
