"""The ways to quantize a float model. Other types are other tensor types and other kernels, not other compilers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from mcugen.errors import Fault, UsageError
from mcugen.ir import Array, DType, Graph, Quant, Tensor, TensorType
from mcugen.ops.op import quantize_weights

HALF_MAX = 65504.0  # of float16
WEIGHTED = {"conv2d": 0, "fully_connected": 0, "depthwise_conv2d": 3}  # the weights' axis of output channels
STORED = (*WEIGHTED, "transpose_conv")  # operators whose weights may be stored in fewer bits


class Recipe(StrEnum):
    """What `--quantize` names."""

    INT8 = "int8"
    INT8_FLOAT_FALLBACK = "int8-float-fallback"
    INT16X8 = "int16x8"
    INT16X8_FLOAT_FALLBACK = "int16x8-float-fallback"
    FLOAT32 = "float32"
    FLOAT16 = "float16"
    DYNAMIC_RANGE = "dynamic-range"


@dataclass(frozen=True)
class Traits:
    """`activations`: elements between the operators, `io`: of inputs and outputs, unless the user asks for others.
    `fallback`: operators without an integer kernel compute real numbers."""

    activations: DType
    io: DType
    fallback: bool = False

    @property
    def calibrated(self) -> bool:
        """Whether the activations' ranges must be known."""
        return self.activations is not DType.FLOAT32


TRAITS: Mapping[Recipe, Traits] = {
    Recipe.INT8: Traits(DType.INT8, DType.INT8),
    Recipe.INT8_FLOAT_FALLBACK: Traits(DType.INT8, DType.FLOAT32, fallback=True),
    Recipe.INT16X8: Traits(DType.INT16, DType.INT16),
    Recipe.INT16X8_FLOAT_FALLBACK: Traits(DType.INT16, DType.FLOAT32, fallback=True),
    Recipe.FLOAT32: Traits(DType.FLOAT32, DType.FLOAT32),
    Recipe.FLOAT16: Traits(DType.FLOAT32, DType.FLOAT32),
    Recipe.DYNAMIC_RANGE: Traits(DType.FLOAT32, DType.FLOAT32),
}


def store_weights(graph: Graph, recipe: Recipe) -> Graph:
    """The float graph with the weights of its layers as the recipe stores them; biases stay float32."""
    store = {Recipe.FLOAT16: _half, Recipe.DYNAMIC_RANGE: _int8}.get(recipe)
    if store is None:
        return graph
    tensors = dict(graph.tensors)
    for node in graph.nodes:
        if node.op in STORED:
            name = node.inputs[1]
            stored = store(graph.tensors[name], WEIGHTED.get(node.op))
            assert tensors[name].type in (graph.type(name), stored.type), f"{name} is stored in two ways"
            tensors[name] = stored
    return replace(graph, tensors=tensors)


def _half(tensor: Tensor, axis: int | None) -> Tensor:
    """float16, rounded to nearest even; as it is where a value is beyond its range."""
    assert tensor.data is not None
    if np.abs(tensor.data).max(initial=0.0) > HALF_MAX:
        return tensor
    return replace(tensor, type=TensorType(tensor.shape, DType.FLOAT16), data=tensor.data.astype(np.float16))


def _int8(tensor: Tensor, axis: int | None) -> Tensor:
    """int8 per channel of `axis`; as it is for an operator that has no such axis."""
    if axis is None or tensor.data is None:
        return tensor
    nothing: Array = np.zeros(tensor.shape[axis], np.float32)
    given = tensor.type.quant.scale if tensor.type.quant else None  # of a file with quantized weights
    data, _, scales = quantize_weights(tensor.data, nothing, 1.0, axis, given)
    quant = Quant(scales, (0,) * len(scales), axis)
    return replace(tensor, type=TensorType(tensor.shape, DType.INT8, quant), data=data)


def recipe_named(name: str | None) -> Recipe | None:
    """The recipe that a user names; None for none. Raises UsageError."""
    if name is None:
        return None
    try:
        return Recipe(name)
    except ValueError:
        fault = Fault("--quantize", f"{name!r} is not known", f"one of {', '.join(Recipe)}")
        raise UsageError("no such recipe", [fault]) from None
