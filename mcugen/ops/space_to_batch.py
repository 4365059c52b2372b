"""space_to_batch: x [N, spatial..., C] -> [blocks * N, spatial / block..., C]: the padded image's phases as a batch.

Old converters write a dilated convolution as SPACE_TO_BATCH_ND, a convolution of the phases and BATCH_TO_SPACE_ND.
The import makes one dilated convolution of the three again; no kernel computes a space_to_batch that is left.
Attributes: block, one per spatial axis; pads, a pair per spatial axis, of real zeros. (TFLM's int8 kernel pads with
whatever lies in an uninitialised field, a different number in every run; the zero point is LiteRT's definition.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mcugen.ir import Array, Graph, Node, TensorType
from mcugen.ops.op import Op

if TYPE_CHECKING:
    from mcugen.read.tflite_import import TfliteImporter, TfliteNode

Pairs = tuple[tuple[int, int], ...]
CONVOLUTIONS = ("conv2d", "depthwise_conv2d")
FIX = "convert again: newer converters write one dilated convolution"


def _block_and_pairs(ctx: TfliteImporter, n: TfliteNode, rank: int) -> tuple[tuple[int, ...], Pairs]:
    """The block's size and the paddings or crops of SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND."""
    block, flat = ctx.ints(n, 1), ctx.ints(n, 2)
    if block is None or flat is None or len(block) != rank - 2 or len(flat) != 2 * len(block):
        ctx.invalid(n, f"blocks of {block} with {flat} in {rank} axes")
    if min((*block, 1)) < 1 or min((*flat, 0)) < 0:
        ctx.invalid(n, f"blocks of {list(block)} with {list(flat)}")
    return block, tuple(zip(flat[::2], flat[1::2], strict=True))


def import_space_to_batch(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    """SPACE_TO_BATCH_ND [x, block, paddings]."""
    block, pads = _block_and_pairs(ctx, n, len(ctx.shape(n.inputs[0])))
    return [ctx.emit(n, "space_to_batch", [n.inputs[0]], {"block": block, "pads": pads})]


def _before(ctx: TfliteImporter, name: str) -> Node | None:
    """The node that computes a tensor, be it with reshapes between."""
    producers = {output: node for node in ctx.nodes for output in node.outputs}
    node = producers.get(ctx.resolve(name))
    while node is not None and node.op == "reshape":
        node = producers.get(node.inputs[0])
    return node


def holds_phases(ctx: TfliteImporter, name: str) -> bool:
    """Whether a tensor holds the phases of an image as a batch."""
    node = _before(ctx, name)
    return node is not None and node.op == "space_to_batch"


def _found(ctx: TfliteImporter, n: TfliteNode) -> tuple[Node, Node]:
    """The space_to_batch and the convolution before a BATCH_TO_SPACE_ND."""
    conv = _before(ctx, n.inputs[0])
    if conv is None or conv.op not in CONVOLUTIONS or conv.attrs["strides"] != (1, 1):
        ctx.unsupported(n, "does not stand behind a convolution of stride 1", FIX)
    phases = _before(ctx, conv.inputs[0])
    if phases is None or phases.op != "space_to_batch":
        ctx.unsupported(n, "no SPACE_TO_BATCH_ND stands before its convolution", FIX)
    return phases, conv


def import_batch_to_space(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    """BATCH_TO_SPACE_ND [y, block, crops] behind a convolution of phases: one dilated convolution."""
    phases, conv = _found(ctx, n)
    x, shape, image = phases.inputs[0], ctx.shape(phases.inputs[0]), ctx.shape(conv.inputs[0])
    block, crops = _block_and_pairs(ctx, n, len(shape))
    before, pads = phases.attrs["block"], phases.attrs["pads"]
    if block != before or len(ctx.shape(n.inputs[0])) != len(shape):
        ctx.unsupported(n, f"blocks of {list(block)} behind blocks of {list(before)}", FIX)
    quants = [
        [ctx.type(name).quant for name in pair]
        for pair in ((x, phases.outputs[0]), (n.inputs[0], n.outputs[0]))
    ]
    if any(a != b for a, b in quants):
        ctx.unsupported(n, "scale or zero point changes between the phases and the image", FIX)
    moved = [(a - c, b - d) for (a, b), (c, d) in zip(pads, crops, strict=True)]
    if len(shape) == 3:  # a signal as an image of one row or one column
        column = image[2] == 1 and image[1] != 1
        shape = (shape[0], shape[1], 1, shape[2]) if column else (shape[0], 1, *shape[1:])
        block = (*block, 1) if column else (1, *block)
        moved = [*moved, (0, 0)] if column else [(0, 0), *moved]
    if image[0] != math.prod(block) * shape[0] or image[3] != shape[3]:
        ctx.unsupported(n, f"the phases become {list(image)} before the convolution", FIX)
    inner = conv.attrs["pads"]  # of each phase
    pads = tuple(moved[i][side] + inner[2 * side + i] * block[i] for side in range(2) for i in range(2))
    if min(pads) < 0:
        ctx.unsupported(n, "it crops more than was padded", FIX)
    dilations = tuple(d * b for d, b in zip(conv.attrs["dilations"], block, strict=True))
    attrs = {**conv.attrs, "pads": pads, "dilations": dilations}
    inputs = [ctx.reshape(n, x, shape), *conv.inputs[1:]]
    y = _emit_last(ctx, n, conv.op, inputs, attrs, column=shape[2] == 1)
    index = next(i for i in reversed(range(len(ctx.nodes))) if ctx.nodes[i].op == conv.op)
    fused = (phases.origin, n.origin)
    ctx.nodes[index] = replace(ctx.nodes[index], origin=conv.origin, fused=fused)
    return [y]


def _emit_last(
    ctx: TfliteImporter, n: TfliteNode, op: str, inputs: Sequence[str], attrs: dict[str, object], column: bool
) -> str:
    """The convolution as n's output, [N, H, W, C] or [N, L, C]."""
    out = ctx.shape(n.outputs[0])
    if len(out) == 4:
        return ctx.emit(n, op, inputs, attrs)
    image = (out[0], out[1], 1, *out[2:]) if column else (out[0], 1, *out[1:])
    made = ctx.emit_typed(n, op, inputs, attrs, replace(ctx.type(n.outputs[0]), shape=image))
    return ctx.emit(n, "reshape", [made], {"shape": out})


class SpaceToBatch(Op):
    name = "space_to_batch"
    restrictions = (
        "SPACE_TO_BATCH_ND, a convolution of stride 1 and BATCH_TO_SPACE_ND, which become one dilated convolution",
    )
    tflite = {"SPACE_TO_BATCH_ND": import_space_to_batch, "BATCH_TO_SPACE_ND": import_batch_to_space}

    def infer(self, node: Node, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        shape, block, pads = inputs[0].shape, node.attrs["block"], node.attrs["pads"]
        if not len(block) == len(pads) == len(shape) - 2:
            raise ValueError(f"blocks of {list(block)} in {list(shape)}")
        padded = [d + a + b for d, (a, b) in zip(shape[1:-1], pads, strict=True)]
        if any(size % b for size, b in zip(padded, block, strict=True)):
            raise ValueError(f"{padded} cannot be divided into blocks of {list(block)}")
        phases = (size // b for size, b in zip(padded, block, strict=True))
        return (TensorType((shape[0] * math.prod(block), *phases, shape[-1])),)

    def batchable(self, node: Node, graph: Graph) -> bool:
        return False

    def same_quant(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (node.inputs[0], node.outputs[0])

    def _phases(self, node: Node, x: Array, fill: int) -> Array:
        block = node.attrs["block"]
        x = np.pad(x, ((0, 0), *node.attrs["pads"], (0, 0)), constant_values=fill)
        split = [part for size, b in zip(x.shape[1:-1], block, strict=True) for part in (size // b, b)]
        axes = range(len(block))
        order = (*(2 + 2 * i for i in axes), 0, *(1 + 2 * i for i in axes), 1 + 2 * len(block))
        turned = x.reshape(x.shape[0], *split, x.shape[-1]).transpose(order)
        return np.ascontiguousarray(turned.reshape(-1, *split[::2], x.shape[-1]))

    def float_reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        return (self._phases(node, xs[0], 0),)

    def reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        return (self._phases(node, xs[0], graph.type(node.outputs[0]).zero_point),)
