"""reduce_max and reduce_min: x -> its largest or smallest element over the attribute axes (sorted, neighbours up to
axes of size 1), keepdims or not. Same quantization in and out; an order, so bytes compare as the real numbers do.
float32: a NaN is passed over; the largest of nothing else is -inf, the smallest inf.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np

from mcugen.ir import Array, Graph, Node, TensorType
from mcugen.ops.mean import elements_in_order, import_onnx_reduction, import_tflite_reduction, infer_reduction
from mcugen.ops.op import Op


class ReduceMax(Op):
    name = "reduce_max"
    restrictions = ("constant axes; TFLite: at least one",)
    onnx = {"ReduceMax": lambda ctx, n: import_onnx_reduction(ctx, n, "reduce_max")}
    tflite = {"REDUCE_MAX": lambda ctx, n: import_tflite_reduction(ctx, n, "reduce_max")}
    extreme: ClassVar[Callable[..., Array]] = staticmethod(np.max)
    takes_over: ClassVar[Callable[..., Array]] = staticmethod(np.greater)  # an element from the one so far
    start: ClassVar[float] = -np.inf

    def infer(self, node: Node, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        return (infer_reduction(node, inputs[0].shape),)

    def batchable(self, node: Node, graph: Graph) -> bool:
        return 0 not in node.attrs["axes"]

    def same_quant(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (node.inputs[0], node.outputs[0])

    def float_reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        return (np.asarray(self.extreme(xs[0], axis=node.attrs["axes"], keepdims=node.attrs["keepdims"])),)

    def float_exact(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        """From an infinity on, what is larger or smaller, in the order of the elements."""
        acc: Array = np.asarray(self.start, np.float32)
        for values in elements_in_order(node, xs[0]):
            acc = np.where(self.takes_over(values, acc), values, acc)
        return (acc,)

    reference = float_reference


class ReduceMin(ReduceMax):
    name = "reduce_min"
    onnx = {"ReduceMin": lambda ctx, n: import_onnx_reduction(ctx, n, "reduce_min")}
    tflite = {"REDUCE_MIN": lambda ctx, n: import_tflite_reduction(ctx, n, "reduce_min")}
    extreme = staticmethod(np.min)
    takes_over = staticmethod(np.less)
    start = np.inf
