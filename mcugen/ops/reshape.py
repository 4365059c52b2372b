"""reshape: the same elements in the same order under another `shape`; same quantization in and out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mcugen.ir import Array, Graph, Node, TensorType
from mcugen.ops.op import Op

if TYPE_CHECKING:
    from mcugen.read.onnx_import import Importer, OnnxNode
    from mcugen.read.tflite_import import TfliteImporter, TfliteNode


def import_reshape(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    """0 copies the input's dimension (unless allowzero), one -1 takes what is left."""
    x = n.inputs[0]
    old, wanted = ctx.shape(x), ctx.ints(n, 1, "shape")
    if wanted is None:
        ctx.invalid(n, "the shape is missing")
    zero_copies = not n.attr("allowzero", 0)
    if any(d < -1 or (d == 0 and zero_copies and i >= len(old)) for i, d in enumerate(wanted)):
        ctx.invalid(n, f"{list(old)} to the shape {list(wanted)}")
    shape = [old[i] if d == 0 and zero_copies else d for i, d in enumerate(wanted)]
    if old[:1] == (1,) and shape and shape[0] == ctx.batch:  # written for a fixed batch
        shape[0] = 1
    if shape.count(-1) == 1:
        rest = -math.prod(shape)
        shape[shape.index(-1)] = math.prod(old) // rest if rest else 0
    if math.prod(shape) != math.prod(old) or any(d < 1 for d in shape):
        ctx.invalid(n, f"{list(old)} to the shape {list(wanted)}")
    return [ctx.reshape(n, x, shape)]


def import_flatten(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    shape = ctx.shape(n.inputs[0])
    axis = int(n.attr("axis", 1))
    if axis != len(shape):
        axis = ctx.axis(n, axis, len(shape))
    return [ctx.reshape(n, n.inputs[0], (math.prod(shape[:axis]), math.prod(shape[axis:])))]


def import_squeeze(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    shape = ctx.shape(n.inputs[0])
    given = ctx.ints(n, 1, "axes")
    axes = {ctx.axis(n, a, len(shape)) for a in given or ()}
    if given is None:
        axes = {i for i, d in enumerate(shape) if d == 1}
    if any(shape[a] != 1 for a in axes):
        ctx.invalid(n, f"axes {sorted(axes)} of {list(shape)} are not all of size 1")
    return [ctx.reshape(n, n.inputs[0], [d for i, d in enumerate(shape) if i not in axes])]


def import_unsqueeze(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    shape = ctx.shape(n.inputs[0])
    given = ctx.ints(n, 1, "axes")
    if given is None:
        ctx.invalid(n, "axes are missing")
    rank = len(shape) + len(given)
    axes = {ctx.axis(n, a, rank) for a in given}
    if len(axes) != len(given):
        ctx.invalid(n, f"axes {list(given)} name one twice")
    rest = iter(shape)
    return [ctx.reshape(n, n.inputs[0], [1 if i in axes else next(rest) for i in range(rank)])]


def emit_reshaped(ctx: TfliteImporter, n: TfliteNode, shape: Sequence[int]) -> list[str]:
    """The file's output as the node's input under another shape; the input itself where nothing changes."""
    x = n.inputs[0]
    if math.prod(shape) != math.prod(ctx.shape(x)):
        ctx.invalid(n, f"{list(ctx.shape(x))} to the shape {list(shape)}")
    ctx.set_shape(n, 0, shape)
    if ctx.type(x) == ctx.type(n.outputs[0]):
        return [ctx.resolve(x)]
    return [ctx.emit(n, "reshape", [x], {"shape": tuple(shape)})]


def import_tflite_reshape(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    """TFLite RESHAPE: the shape is an input, an option, or the output's own; one -1 takes what is left."""
    old, declared = ctx.shape(n.inputs[0]), ctx.shape(n.outputs[0])
    if math.prod(declared) == math.prod(old) and -1 not in ctx.signatures.get(n.outputs[0], ()):
        return emit_reshaped(ctx, n, declared)
    shape = list(ctx.ints(n, 1) or n.options["new_shape"] or declared)
    if shape.count(-1) == 1:
        rest = -math.prod(shape)
        shape[shape.index(-1)] = math.prod(old) // rest if rest else 0
    return emit_reshaped(ctx, n, shape)


def import_tflite_squeeze(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    shape = ctx.shape(n.inputs[0])
    given = [ctx.axis(n, a, len(shape)) for a in n.options["squeeze_dims"]]
    axes = set(given or (i for i, d in enumerate(shape) if d == 1))
    if any(shape[a] != 1 for a in axes):
        ctx.invalid(n, f"axes {sorted(axes)} of {list(shape)} are not all of size 1")
    return emit_reshaped(ctx, n, [d for i, d in enumerate(shape) if i not in axes])


def import_expand_dims(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    shape, given = ctx.shape(n.inputs[0]), ctx.ints(n, 1)
    if given is None or len(given) != 1:
        ctx.invalid(n, "the axis is missing")
    axis = ctx.axis(n, given[0], len(shape) + 1)
    return emit_reshaped(ctx, n, (*shape[:axis], 1, *shape[axis:]))


class Reshape(Op):
    name = "reshape"
    restrictions = ("a constant shape",)
    onnx = {
        "Reshape": import_reshape,
        "Flatten": import_flatten,
        "Squeeze": import_squeeze,
        "Unsqueeze": import_unsqueeze,
    }
    tflite = {
        "RESHAPE": import_tflite_reshape,
        "SQUEEZE": import_tflite_squeeze,
        "EXPAND_DIMS": import_expand_dims,
    }

    def infer(self, node: Node, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        shape = tuple(node.attrs["shape"])
        if math.prod(shape) != inputs[0].elements or any(d < 1 for d in shape):
            raise ValueError(f"{list(inputs[0].shape)} to the shape {list(shape)}")
        return (TensorType(shape),)

    def batchable(self, node: Node, graph: Graph) -> bool:
        return graph.type(node.inputs[0]).shape[:1] == tuple(node.attrs["shape"][:1]) != ()

    def same_quant(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (node.inputs[0], node.outputs[0])

    def _reshaped(self, node: Node, graph: Graph, x: Array) -> Array:
        shape = node.attrs["shape"]
        return x.reshape(x.shape[0], *shape[1:]) if self.batchable(node, graph) else x.reshape(shape)

    def float_reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        return (self._reshaped(node, graph, xs[0]),)

    def reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        return (self._reshaped(node, graph, xs[0]),)
