"""mirror_pad: x -> x with its own elements around it; same quantization in and out.

Attributes: pads, a pair (before, after) per axis, not negative; mode: "reflect" (mirrored at the outermost element),
"symmetric" (mirrored behind it) or "edge" (the outermost element again and again).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mcugen.ir import Array, Graph, Node, TensorType
from mcugen.ops.op import Op

if TYPE_CHECKING:
    from mcugen.read.tflite_import import TfliteImporter, TfliteNode

MODES = ("reflect", "symmetric", "edge")


def import_tflite_mirror_pad(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    """MIRROR_PAD [x, paddings (rank, 2)]."""
    x, given = n.inputs[0], ctx.ints(n, 1)
    rank = len(ctx.shape(x))
    if given is None or len(given) != 2 * rank:
        ctx.invalid(n, f"paddings {given} for {rank} axes")
    pads = tuple(zip(given[::2], given[1::2], strict=True))
    mode = str(n.options.get("mode")).lower()
    return [ctx.emit(n, "mirror_pad", [x], {"pads": pads, "mode": mode})]


class MirrorPad(Op):
    name = "mirror_pad"
    restrictions = ("constant paddings, of at most the axis' size (reflect: less 1; edge: any)",)
    tflite = {"MIRROR_PAD": import_tflite_mirror_pad}

    def infer(self, node: Node, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        shape, pads, mode = inputs[0].shape, node.attrs["pads"], node.attrs["mode"]
        if mode not in MODES or len(pads) != len(shape) or any(p < 0 for pair in pads for p in pair):
            raise ValueError(f"{mode} padding {pads} of {list(shape)}")
        grown = []
        for size, (before, after) in zip(shape, pads, strict=True):
            most = size - 1 if mode == "reflect" else size
            if mode != "edge" and max(before, after) > most:
                raise ValueError(f"{mode} padding of {max(before, after)} where only {most} elements are")
            grown.append(before + size + after)
        return (TensorType(tuple(grown)),)

    def batchable(self, node: Node, graph: Graph) -> bool:
        return tuple(node.attrs["pads"][0]) == (0, 0)

    def same_quant(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (node.inputs[0], node.outputs[0])

    def float_reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        mode: Any = node.attrs["mode"]
        return (np.pad(xs[0], node.attrs["pads"], mode=mode),)

    reference = float_reference
