"""arg_max and arg_min: x [...] -> the index of the largest or smallest element along one axis, int32, not quantized.

Attributes: axes (the one axis, as mean and its sisters have it), keepdims, last (of equals the last one, not the
first). In a float graph the index is a float32; only a model's outputs can be indices.
float32 elements are compared in order, each with the best one so far: a NaN is passed over, but a first one stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mcugen.ir import Array, DType, Graph, Node, TensorType
from mcugen.ops.mean import elements_in_order, infer_reduction
from mcugen.ops.op import Op

if TYPE_CHECKING:
    from mcugen.read.onnx_import import Importer, OnnxNode
    from mcugen.read.tflite_import import TfliteImporter, TfliteNode


def import_arg(ctx: Importer, n: OnnxNode, op: str) -> Sequence[str]:
    """ONNX ArgMax and ArgMin; their int64 become int32."""
    x = n.inputs[0]
    axis = ctx.axis(n, int(n.attr("axis", 0)), len(ctx.shape(x)))
    keepdims, last = bool(n.attr("keepdims", 1)), bool(n.attr("select_last_index", 0))
    return [ctx.emit(n, op, [x], {"axes": (axis,), "keepdims": keepdims, "last": last})]


def import_tflite_arg(ctx: TfliteImporter, n: TfliteNode, op: str) -> Sequence[str]:
    """ARG_MAX and ARG_MIN [x, axis]; int64 become int32."""
    x, given = n.inputs[0], ctx.ints(n, 1)
    if given is None or len(given) != 1:
        ctx.invalid(n, f"axis {given}")
    if ctx.is_quantized(x):
        ctx.require_int8(n, x)
    axis, out = ctx.axis(n, given[0], len(ctx.shape(x))), ctx.tensors[n.outputs[0]]
    if out.type.dtype not in (DType.INT32, DType.INT64):
        ctx.unsupported(n, f"indices of type {out.type.dtype} are not supported", "use int32")
    dtype = DType.INT32 if ctx.is_quantized(x) else DType.FLOAT32
    ctx.tensors[out.name] = replace(out, type=TensorType(out.shape, dtype))
    return [ctx.emit(n, op, [x], {"axes": (axis,), "keepdims": False, "last": False})]


class ArgMax(Op):
    name = "arg_max"
    restrictions = (
        "an index can only be an output of the model",
        "TFLite: indices are int32 or int64, which become int32",
    )
    onnx = {"ArgMax": lambda ctx, n: import_arg(ctx, n, "arg_max")}
    tflite = {"ARG_MAX": lambda ctx, n: import_tflite_arg(ctx, n, "arg_max")}
    place: ClassVar[Callable[..., Any]] = staticmethod(np.argmax)
    better: ClassVar[Callable[..., Array]] = staticmethod(np.greater)

    def infer(self, node: Node, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        if len(node.attrs["axes"]) != 1:
            raise ValueError(f"the {node.op} over the axes {list(node.attrs['axes'])}")
        return (infer_reduction(node, inputs[0].shape),)

    def batchable(self, node: Node, graph: Graph) -> bool:
        return 0 not in node.attrs["axes"]

    def _index(self, node: Node, x: Array) -> Array:
        (axis,), keepdims = node.attrs["axes"], node.attrs["keepdims"]
        if node.attrs["last"]:
            return np.asarray(x.shape[axis] - 1 - self.place(np.flip(x, axis), axis=axis, keepdims=keepdims))
        return np.asarray(self.place(x, axis=axis, keepdims=keepdims))

    def float_reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        return (self._index(node, xs[0]).astype(np.float32),)

    def _index_exact(self, node: Node, x: Array) -> Array:
        """The index among float32 elements, compared as the C compares them."""
        elements = elements_in_order(node, x)
        best = next(elements)
        index = np.zeros(best.shape, np.int32)
        for i, values in enumerate(elements, 1):
            taken = self.better(values, best) | (node.attrs["last"] & (values == best))
            best, index = np.where(taken, values, best), np.where(taken, np.int32(i), index)
        return index

    def float_exact(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        return (self._index_exact(node, xs[0]).astype(np.float32),)

    def reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        if xs[0].dtype == np.float32:
            return (self._index_exact(node, xs[0]),)
        return (self._index(node, xs[0]).astype(np.int32),)


class ArgMin(ArgMax):
    name = "arg_min"
    onnx = {"ArgMin": lambda ctx, n: import_arg(ctx, n, "arg_min")}
    tflite = {"ARG_MIN": lambda ctx, n: import_tflite_arg(ctx, n, "arg_min")}
    place = staticmethod(np.argmin)
    better = staticmethod(np.less)
