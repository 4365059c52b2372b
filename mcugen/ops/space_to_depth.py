"""SpaceToDepth and DepthToSpace: only imports, as transposes of an image's blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mcugen.ops.op import Op

if TYPE_CHECKING:
    from mcugen.read.onnx_import import Importer, OnnxNode
    from mcugen.read.tflite_import import TfliteImporter, TfliteNode


def import_depth_to_space(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    """ONNX: [N, C, H, W] -> [N, C/b^2, H b, W b]; the blocks lie before the channels (DCR) or behind them (CRD)."""
    x, b, mode = n.inputs[0], n.attr("blocksize"), n.attr("mode", "DCR")
    shape = ctx.shape(x)
    if mode not in ("DCR", "CRD") or len(shape) != 4 or not b or b < 1 or shape[1] % (b * b):
        ctx.invalid(n, f"mode {mode} and blocks of {b} in {list(shape)}")
    count, channels, height, width = shape
    deep = channels // (b * b)
    if mode == "DCR":
        split, perm = (count, b, b, deep, height, width), (0, 3, 4, 1, 5, 2)
    else:
        split, perm = (count, deep, b, b, height, width), (0, 1, 4, 2, 5, 3)
    turned = ctx.transpose(n, ctx.reshape(n, x, split), perm)
    return [ctx.reshape(n, turned, (count, deep, height * b, width * b))]


def import_space_to_depth(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    """ONNX: [N, C, H, W] -> [N, C b^2, H/b, W/b], the blocks before the channels."""
    x, b = n.inputs[0], n.attr("blocksize")
    shape = ctx.shape(x)
    if len(shape) != 4 or not b or b < 1 or shape[2] % b or shape[3] % b:
        ctx.invalid(n, f"blocks of {b} in {list(shape)}")
    count, channels, height, width = shape
    split = ctx.reshape(n, x, (count, channels, height // b, b, width // b, b))
    turned = ctx.transpose(n, split, (0, 3, 5, 1, 2, 4))
    return [ctx.reshape(n, turned, (count, channels * b * b, height // b, width // b))]


def import_tflite_depth_to_space(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    """DEPTH_TO_SPACE: [N, H, W, C] -> [N, H b, W b, C/b^2], the blocks before the channels."""
    x, b = n.inputs[0], int(n.options.get("block_size", 0))
    shape = ctx.shape(x)
    if len(shape) != 4 or b < 1 or shape[3] % (b * b):
        ctx.invalid(n, f"blocks of {b} in {list(shape)}")
    count, height, width, channels = shape
    deep = channels // (b * b)
    split = ctx.reshape(n, x, (count, height, width, b, b, deep))
    turned = ctx.transpose(n, split, (0, 1, 3, 2, 4, 5))
    return [ctx.emit(n, "reshape", [turned], {"shape": (count, height * b, width * b, deep)})]


def import_tflite_space_to_depth(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    """SPACE_TO_DEPTH: [N, H, W, C] -> [N, H/b, W/b, C b^2], the blocks before the channels."""
    x, b = n.inputs[0], int(n.options.get("block_size", 0))
    shape = ctx.shape(x)
    if len(shape) != 4 or b < 1 or shape[1] % b or shape[2] % b:
        ctx.invalid(n, f"blocks of {b} in {list(shape)}")
    count, height, width, channels = shape
    split = ctx.reshape(n, x, (count, height // b, b, width // b, b, channels))
    turned = ctx.transpose(n, split, (0, 1, 3, 2, 4, 5))
    return [ctx.emit(n, "reshape", [turned], {"shape": (count, height // b, width // b, channels * b * b)})]


class SpaceToDepth(Op):
    """No node of a graph: the imports make reshapes and transposes."""

    name = "space_to_depth"
    onnx = {"SpaceToDepth": import_space_to_depth, "DepthToSpace": import_depth_to_space}
    tflite = {
        "SPACE_TO_DEPTH": import_tflite_space_to_depth,
        "DEPTH_TO_SPACE": import_tflite_depth_to_space,
    }
