"""Expand: an axis of size 1 becomes many by copies; only an import, as concatenations of one tensor with itself.

Normalising takes them away again in front of operators that broadcast by themselves (normalise/drop_expand.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mcugen.ops.op import Op

if TYPE_CHECKING:
    from mcugen.read.onnx_import import Importer, OnnxNode

MAX_COPIES = 1024  # of one axis


def import_expand(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    """ONNX Expand: broadcast to a constant shape, which may also be the smaller one."""
    x, wanted = n.inputs[0], ctx.ints(n, 1, "shape")
    if wanted is None:
        ctx.invalid(n, "the shape is missing")
    old = ctx.shape(x)
    try:
        shape = np.broadcast_shapes(old, wanted)
    except ValueError:
        ctx.invalid(n, f"{list(old)} does not broadcast to {list(wanted)}")
    x = ctx.reshape(n, x, (1,) * (len(shape) - len(old)) + old)
    for axis in reversed(range(len(shape))):
        copies = shape[axis] if ctx.shape(x)[axis] == 1 else 1
        if copies > MAX_COPIES:
            ctx.unsupported(
                n, f"{copies:,} copies along axis {axis}", "let Add or Mul broadcast instead of Expand"
            )
        if copies > 1:
            x = ctx.emit(n, "concat", [x] * copies, {"axis": axis})
    return [x]


class Expand(Op):
    """No node of a graph: the import makes concatenations."""

    name = "expand"
    restrictions = ("a constant shape", "at most 1,024 copies along an axis")
    onnx = {"Expand": import_expand}
