"""What an operator room offers. One file per operator; `mcugen.ops.OPS` finds them all by itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mcugen.fixed import activation_range, round_half_away
from mcugen.ir import Array, DType, Graph, Node, Quant, Tensor, TensorType

if TYPE_CHECKING:
    from mcugen.read.onnx_import import Importer, OnnxNode
    from mcugen.read.tflite_import import TfliteImporter, TfliteNode

OnnxImport = Callable[["Importer", "OnnxNode"], Sequence[str]]
TfliteImport = Callable[["TfliteImporter", "TfliteNode"], Sequence[str]]
Clamp = tuple[float, float]  # real bounds of a fused activation; -inf and inf for none
NO_CLAMP: Clamp = (-math.inf, math.inf)


class Op:
    """Base class: an operator's meaning. Knows no board and no C.

    Arrays of activations are [N, *shape[1:]]: references treat the first axis as N samples (a graph's types
    have 1 there). Where that is impossible `batchable` says so and the samples come one by one.
    """

    name: ClassVar[str]
    onnx: ClassVar[Mapping[str, OnnxImport]] = {}  # ONNX operator types that this room imports
    tflite: ClassVar[Mapping[str, TfliteImport]] = {}  # builtin operators of .tflite that it imports
    # What imports and `infer` refuse, as docs/operators.md says it; of one file format: begins with its name.
    restrictions: ClassVar[tuple[str, ...]] = ()

    def infer(self, node: Node, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        """Output types of the float operator. Raises ValueError with a sentence when the shapes do not fit."""
        raise NotImplementedError(self.name)

    def float_reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        """float32 outputs from float32 inputs (constants included, in the order of node.inputs)."""
        raise NotImplementedError(self.name)

    def float_exact(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        """Normative float32 outputs, the bits that the C gives: every operation rounded once, sums in the order that
        the operator's docstring says. Constants may be float16, or int8 of a dynamic-range operator.

        Default: the float reference, right for operators that only move elements.
        """
        return self.float_reference(node, graph, xs)

    def reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        """Normative integer outputs (dtype of the output's type) from integer inputs (float ones of QUANTIZE)."""
        raise NotImplementedError(self.name)

    def batchable(self, node: Node, graph: Graph) -> bool:
        """Whether axis 0 of every activation is the batch and stays so."""
        return True

    def same_quant(self, node: Node, graph: Graph) -> tuple[str, ...]:
        """Activations (inputs and outputs) that must share scale and zero point; () if there is no such rule."""
        return ()

    def fixed_quant(self, node: Node, dtype: DType = DType.INT8) -> Quant | None:
        """The output's scale and zero point where the definition fixes them, for elements of the type `dtype`."""
        return None

    def quantize(
        self, node: Node, graph: Graph, types: Mapping[str, TensorType]
    ) -> tuple[Node, dict[str, Tensor]]:
        """The integer node and its integer constants; `types` holds every activation's quantized type.

        Default: every constant input becomes integers of the output's type, from its own range.
        """
        dtype = types[node.outputs[0]].dtype
        constants = {
            name: quantize_constant(graph.tensors[name], dtype)
            for name in node.inputs
            if graph.is_constant(name)
        }
        return node, constants

    def updates(self, node: Node, graph: Graph) -> tuple[str, ...]:
        """States that the node overwrites; its reference gives their new values behind its outputs."""
        return ()

    def macs(self, node: Node, graph: Graph) -> int:
        """Multiply-accumulates of one inference."""
        return 0


def limits(dtype: DType) -> tuple[int, int]:
    """The least and the largest integer of a type."""
    info = np.iinfo(dtype.numpy)
    return int(info.min), int(info.max)


def activation_quant(lo: float, hi: float, dtype: DType = DType.INT8) -> Quant:
    """Per-tensor quantization of a range: int8 asymmetric (semantics.md, section 0), int16 symmetric."""
    lo, hi = min(float(lo), 0.0), max(float(hi), 0.0)
    symmetric = dtype is DType.INT16
    scale = np.float32(max(-lo, hi) / 32767.0) if symmetric else np.float32((hi - lo) / 255.0)
    if not scale > 0.0:  # an empty range, or one below what float32 can hold
        scale = np.float32(1.0)
    if symmetric:
        return Quant((float(scale),), (0,))
    zero_point = int(np.clip(round_half_away(np.array(-128.0 - lo / float(scale))), -128, 127))
    return Quant((float(scale),), (zero_point,))


def quantize_array(values: Array, quant: Quant, dtype: DType = DType.INT8) -> Array:
    """Integers of real values under a per-tensor quantization: clamp(round(x / s) + z), round half away from zero."""
    low, high = limits(dtype)
    reach = 2.0 * (high - low)  # beyond, rounding overflows
    steps = np.clip(np.asarray(values, np.float64) / quant.scale[0], -reach, reach)
    return np.clip(round_half_away(steps) + quant.zero_point[0], low, high).astype(dtype.numpy)


def quantize_constant(tensor: Tensor, dtype: DType = DType.INT8, quant: Quant | None = None) -> Tensor:
    """A constant operand as integers per tensor, by default under the quantization of its own range."""
    assert tensor.data is not None
    data = tensor.data
    if quant is None:
        bounds = (float(data.min()), float(data.max())) if data.size else (0.0, 0.0)
        quant = activation_quant(*bounds, dtype)
    ttype = TensorType(tensor.shape, dtype, quant)
    return Tensor(tensor.name, ttype, quantize_array(data, quant, dtype), tensor.source)


def quantize_as_output(node: Node, graph: Graph, types: Mapping[str, TensorType]) -> dict[str, Tensor]:
    """The constant operands of a node as integers of the output's type and quantization."""
    y = types[node.outputs[0]]
    return {
        name: quantize_constant(graph.tensors[name], y.dtype, y.quant)
        for name in node.inputs
        if graph.is_constant(name)
    }


def activation_limits(node: Node, y: TensorType) -> tuple[int, int]:
    """The integer bounds of an output of the type y: the type's range and the fused activation's."""
    return activation_range(*clamp_of(node), y.scale, y.zero_point, *limits(y.dtype))


def quantize_weights(
    weights: Array, bias: Array, input_scale: float, axis: int, given: Sequence[float] | None = None
) -> tuple[Array, Array, tuple[float, ...]]:
    """Symmetric int8 weights per channel of `axis`, int32 bias at scale s_in * s_c, and the scales s_c.

    semantics.md, section 0: s_c = float32(max|w_c| / 127), 1 where all are zero, raised until |bias| < 2^30.
    `given`: the scales that the model file names; then the weights may be -128, too.
    Weights are float [...], bias float [C]; returns int8, int32 [C], C floats (float32 values). Raises ValueError
    with a sentence where no float32 scale is large enough for a bias.
    """
    others = tuple(i for i in range(weights.ndim) if i != axis)
    peak = np.abs(weights.astype(np.float64)).max(axis=others, initial=0.0)
    scales = (peak / 127.0 if given is None else np.array(given)).astype(np.float32)
    scales[~(scales > 0.0)] = 1.0
    needed = np.abs(bias.astype(np.float64)) / (input_scale * (2.0**30 - 1.0))
    if (needed > 1e38).any():
        far = float(np.abs(bias).max())
        raise ValueError(f"a bias of {far:.3g} is too far from inputs in steps of {input_scale:.3g}")
    raised = np.nextafter(needed.astype(np.float32), np.float32(np.inf))
    scales = np.where(scales < raised, raised, scales).astype(np.float32)
    exact = scales.astype(np.float64)
    shape = [1] * weights.ndim
    shape[axis] = -1
    steps = round_half_away(weights / exact.reshape(shape))
    quantized = np.clip(steps, -127 if given is None else -128, 127).astype(np.int8)
    integer_bias = round_half_away(bias / (input_scale * exact)).astype(np.int32)
    return quantized, integer_bias, tuple(float(s) for s in scales)


def clamp_of(node: Node) -> Clamp:
    """The real bounds of the activation fused into a node."""
    lo, hi = node.attrs.get("clamp", NO_CLAMP)
    return float(lo), float(hi)


def clamp_array(x: Array, clamp: Clamp) -> Array:
    """float32 values inside the bounds of a fused activation."""
    return x if clamp == NO_CLAMP else np.clip(x, np.float32(clamp[0]), np.float32(clamp[1]))


def clamp_exact(x: Array, clamp: Clamp) -> Array:
    """float32 values inside the bounds, as the C compares: `x < lo ? lo : x > hi ? hi : x`."""
    lo, hi = np.float32(clamp[0]), np.float32(clamp[1])
    return np.where(x < lo, lo, np.where(x > hi, hi, x))


def sum_exact(x: Array) -> Array:
    """float32 sums over the last axis, which stays as 1: one element after the other."""
    total = np.zeros((*x.shape[:-1], 1), np.float32)
    with np.errstate(all="ignore"):
        for k in range(x.shape[-1]):
            total += x[..., k : k + 1]
    return total


def max_exact(x: Array) -> Array:
    """The largest over the last axis, which stays as 1, as the C compares: `max < x ? x : max`."""
    largest = x[..., :1]
    for k in range(1, x.shape[-1]):
        each = x[..., k : k + 1]
        largest = np.where(largest < each, each, largest)
    return largest


def dot_exact(x: Array, w: Array) -> Array:
    """float32 sums over the last axis of x [..., K] * w [N, K] -> [..., N], one product after the other."""
    acc = np.zeros((*x.shape[:-1], w.shape[0]), np.float32)
    columns = np.ascontiguousarray(w.T.astype(np.float32))
    with np.errstate(all="ignore"):
        for k in range(w.shape[1]):
            acc += x[..., k : k + 1] * columns[k]
    return acc


def window_extent(size: int, kernel: int, stride: int, dilation: int, before: int, after: int) -> int:
    """Output extent of a sliding window along one axis."""
    return (size + before + after - ((kernel - 1) * dilation + 1)) // stride + 1
