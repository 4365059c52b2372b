"""Evaluate ONNX nodes whose inputs are all constant, through onnx's own reference evaluator.

Only operators that occur in chains of constants are let in, and only after the result's size, and the work
where it can be more than the size, has been bounded from the inputs.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
import onnx
from onnx import GraphProto, NodeProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from mcugen.errors import Fault, ModelError, UnsupportedError
from mcugen.ir import Array
from mcugen.read.onnx_check import label

FOLD_LIMIT = 256 * 2**20  # bytes of one node's results
_WORK_LIMIT = 2**31  # multiplications of one matrix product
_SLOW_LIMIT = 2**22  # elements of what the reference does in a Python loop

# fmt: off
_BROADCAST = frozenset(
    {
        "Add", "Sub", "Mul", "Div", "Pow", "Mod", "Min", "Max", "Sum", "Mean", "Equal", "Less",
        "LessOrEqual", "Greater", "GreaterOrEqual", "And", "Or", "Xor", "Where", "Clip",
    }
)
# fmt: on
_WIDENING = frozenset(
    {"ArgMax", "ArgMin", "Cast", "CastLike", "NonZero"}
)  # to 8 bytes, NonZero once per axis
_SLOW = frozenset({"Erf", "GatherND", "ScatterND"})
# No larger than the inputs together, unless the elements become wider.
# fmt: off
_NO_LARGER = frozenset(
    {
        "Abs", "ArgMax", "ArgMin", "Cast", "CastLike", "Ceil", "Concat", "Cos", "CumSum", "Erf",
        "Exp", "Flatten", "Floor", "Identity", "Log", "Neg", "NonZero", "Not", "Reciprocal",
        "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "Relu", "Reshape",
        "Round", "ScatterND", "Sigmoid", "Sign", "Sin", "Size", "Slice", "Split", "Sqrt", "Squeeze",
        "Tanh", "Transpose", "Trilu", "Unsqueeze",
    }
)
# fmt: on

_Shape = Sequence[int]
_Inputs = Sequence["Array | None"]
_Attrs = Mapping[str, Any]


def constant_value(node: NodeProto) -> Array:
    """The value of a Constant node, whichever attribute holds it.

    Raises ModelError if there is not exactly one value, UnsupportedError for sparse and text values.
    """
    kinds: dict[str, Callable[[Any], Array]] = {
        "value": numpy_helper.to_array,
        "value_float": lambda value: np.array(value, np.float32),
        "value_floats": lambda value: np.array(value, np.float32),
        "value_int": lambda value: np.array(value, np.int64),
        "value_ints": lambda value: np.array(value, np.int64),
    }
    values = [
        attribute for attribute in node.attribute if attribute.name.partition("_")[0] in ("value", "sparse")
    ]
    if len(values) != 1:
        raise _error(node, f"a constant has one value, this one has {len(values)}")
    if values[0].name not in kinds:
        reason = f"{values[0].name} constants are not supported"
        raise UnsupportedError(f"{label(node)} cannot be compiled", [Fault(label(node), reason)])
    try:
        return kinds[values[0].name](helper.get_attribute_value(values[0]))
    except Exception as error:  # numpy_helper raises whatever its numpy call raised
        raise _error(node, f"its value cannot be read: {error}") from error


def evaluate(node: NodeProto, inputs: _Inputs, opset: int) -> list[Array]:
    """The node's outputs, from the arrays of its inputs (None for one left out).

    The node must be of the default domain and in FOLDABLE. Raises ModelError if the outputs would take more
    than FOLD_LIMIT bytes or if the evaluation fails. Integer arithmetic stays integer; a float overflow is
    silent, an integer division by zero is an error.
    """
    if node.domain not in ("", "ai.onnx") or node.op_type not in FOLDABLE:
        raise ValueError(f"{label(node)} is not foldable")
    if node.op_type == "Constant":
        return [constant_value(node)]
    integers = all(array.dtype.kind in "iu" for array in inputs if array is not None)
    try:
        _bound(node, inputs)
        with warnings.catch_warnings(), np.errstate(all="ignore", divide="raise" if integers else "ignore"):
            warnings.simplefilter("ignore")
            results = _reference(node, opset).run(
                None, {f"i{index}": array for index, array in enumerate(inputs) if array is not None}
            )
        outputs = [np.asarray(result, order="C") for result in results]
    except ModelError:
        raise
    except Exception as error:  # the reference raises whatever its numpy calls raise
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise _error(node, f"its constant inputs do not fit it: {reason}") from error
    if any(array.dtype.kind in "OSUT" for array in outputs):
        raise _error(node, "its result is not numbers")
    if node.op_type == "Split" and sum(array.size for array in outputs) != _array(inputs, 0).size:
        raise _error(node, "its parts are not the whole")  # the reference cuts without looking
    _check_size(node, sum(array.nbytes for array in outputs))
    return outputs


def _reference(node: NodeProto, opset: int) -> ReferenceEvaluator:
    single = NodeProto()
    single.CopyFrom(node)
    del single.input[:]
    del single.output[:]
    single.domain = ""
    single.input.extend(f"i{index}" if name else "" for index, name in enumerate(node.input))
    single.output.extend(f"o{index}" for index in range(len(node.output)))
    graph = GraphProto(name="fold", node=[single])
    for name in single.input:
        if name:
            graph.input.add(name=name)
    for name in single.output:
        graph.output.add(name=name)
    opset = min(opset, onnx.defs.onnx_opset_version())
    if node.op_type == "DequantizeLinear":
        opset = max(opset, 19)  # the reference's oldest; it only added element types
    return ReferenceEvaluator(graph, opsets={"": opset})


def _error(node: NodeProto, why: str) -> ModelError:
    return ModelError(f"{label(node)} cannot be evaluated", [Fault(label(node), why)])


def _check_size(node: NodeProto, size: int) -> None:
    if size > FOLD_LIMIT:
        fix = "a model for a microcontroller needs no such constant; simplify the model before export"
        why = f"its constant result would take {size:,} bytes, at most {FOLD_LIMIT:,} are folded"
        raise ModelError(f"{label(node)} cannot be evaluated", [Fault(label(node), why, fix)])


def _bound(node: NodeProto, inputs: _Inputs) -> None:
    """Raise if the result would be too large, or the work too much."""
    attrs = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    given = [array for array in inputs if array is not None]
    if node.op_type in _SIZES:
        size = _count(_SIZES[node.op_type](inputs, attrs)) * _width(node, inputs, attrs)
    elif node.op_type in _WIDENING:
        size = 8 * sum(_count(array.shape) * max(array.ndim, 1) for array in given)
    else:
        size = sum(_count(array.shape) * array.itemsize for array in given)
    _check_size(node, size)
    if node.op_type in _SLOW and max((_count(array.shape) for array in given), default=0) > _SLOW_LIMIT:
        raise _error(node, f"its constant inputs are too large; at most {_SLOW_LIMIT:,} elements are folded")
    if node.op_type in ("MatMul", "Gemm"):
        inner = _shape(inputs, 0)[0 if attrs.get("transA") else -1]
        if _count(_SIZES[node.op_type](inputs, attrs)) * inner > _WORK_LIMIT:
            raise _error(node, "its constant inputs are too large to be multiplied here")
    if node.op_type == "Split" and attrs.get("num_outputs", len(node.output)) != len(node.output):
        raise _error(node, "num_outputs is not the number of its outputs")


def _count(shape: _Shape) -> int:
    """Elements, empty axes counted as one: a reduction or a broadcast can fill them."""
    return math.prod(max(size, 1) for size in shape)


def _width(node: NodeProto, inputs: _Inputs, attrs: _Attrs) -> int:
    """Bytes of one element of the result, or a little more."""
    if node.op_type == "ConstantOfShape":
        return numpy_helper.to_array(attrs["value"]).itemsize if "value" in attrs else 4
    if node.op_type == "EyeLike":
        return 8
    if node.op_type in ("DequantizeLinear", "QuantizeLinear"):
        return 4
    return _array(inputs, {"OneHot": 2, "Where": 1}.get(node.op_type, 0)).itemsize


def _shape(inputs: _Inputs, index: int) -> tuple[int, ...]:
    return _array(inputs, index).shape


def _array(inputs: _Inputs, index: int) -> Array:
    array = inputs[index] if index < len(inputs) else None
    if array is None:
        raise ValueError(f"input {index} is missing")
    return array


def _integers(inputs: _Inputs, index: int) -> list[int]:
    array = _array(inputs, index)
    if array.dtype.kind not in "iu" or array.size > 1024:
        raise ValueError(f"input {index} is no list of sizes")
    return [int(value) for value in array.ravel()]


def _broadcast(*shapes: _Shape) -> list[int]:
    """The common shape; whether the shapes fit at all is left to the reference."""
    columns = zip_longest(*(list(shape)[::-1] for shape in shapes), fillvalue=1)
    return [max(column) for column in columns][::-1]


def _broadcast_all(inputs: _Inputs, attrs: _Attrs) -> _Shape:
    return _broadcast(*(array.shape for array in inputs if array is not None))


def _expand(inputs: _Inputs, attrs: _Attrs) -> _Shape:
    return _broadcast(_shape(inputs, 0), _integers(inputs, 1))


def _tile(inputs: _Inputs, attrs: _Attrs) -> _Shape:
    return [*_shape(inputs, 0), *_integers(inputs, 1)]


def _constant_of_shape(inputs: _Inputs, attrs: _Attrs) -> _Shape:
    sizes = _integers(inputs, 0)
    if any(size < 0 for size in sizes):
        raise ValueError(f"shape {sizes} is negative")
    return sizes


def _range(inputs: _Inputs, attrs: _Attrs) -> _Shape:
    start, limit, delta = (_array(inputs, index).item() for index in range(3))
    if not delta or not all(math.isfinite(value) for value in (start, limit, delta)):
        raise ValueError(f"a range from {start} to {limit} by {delta} has no end")
    if isinstance(start, int) and isinstance(limit, int) and isinstance(delta, int):
        return [max(-((start - limit) // delta), 0)]
    count = (limit - start) / delta
    return [max(math.ceil(count), 0) if math.isfinite(count) else FOLD_LIMIT]


def _pad(inputs: _Inputs, attrs: _Attrs) -> _Shape:
    pads = list(attrs["pads"]) if "pads" in attrs else _integers(inputs, 1)
    more = sum(max(amount, 0) for amount in pads)
    if len(pads) == 2 * len(_shape(inputs, 0)):
        pairs = zip(_shape(inputs, 0), pads, pads[len(pads) // 2 :], strict=False)
        return [max(size + before + after, 0) for size, before, after in pairs]
    return [size + more for size in _shape(inputs, 0)]  # with axes: at most this


def _one_hot(inputs: _Inputs, attrs: _Attrs) -> _Shape:
    return [*_shape(inputs, 0), int(_array(inputs, 1).item())]


def _eye_like(inputs: _Inputs, attrs: _Attrs) -> _Shape:
    if len(_shape(inputs, 0)) != 2:
        raise ValueError("its input is no matrix")
    return _shape(inputs, 0)


def _quantized(inputs: _Inputs, attrs: _Attrs) -> _Shape:
    blocks = _count(_shape(inputs, 1)) * attrs.get("block_size", 0)  # the reference repeats the scales
    return [max(_count(_shape(inputs, 0)), blocks)]


def _matmul(inputs: _Inputs, attrs: _Attrs) -> _Shape:
    left, right = _shape(inputs, 0), _shape(inputs, 1)
    return [*_broadcast(left[:-2], right[:-2]), *left[-2:-1], *right[1:][-1:]]


def _gemm(inputs: _Inputs, attrs: _Attrs) -> _Shape:
    left, right = _shape(inputs, 0), _shape(inputs, 1)
    if len(left) != 2 or len(right) != 2:
        raise ValueError("Gemm multiplies matrices")
    return [left[1 if attrs.get("transA") else 0], right[0 if attrs.get("transB") else 1]]


def _gather(inputs: _Inputs, attrs: _Attrs) -> _Shape:
    data, axis = _shape(inputs, 0), attrs.get("axis", 0)
    if not -len(data) <= axis < len(data):
        raise ValueError(f"axis {axis} of {len(data)} dimensions")
    axis %= len(data)
    return [*data[:axis], *_shape(inputs, 1), *data[axis + 1 :]]


def _gather_nd(inputs: _Inputs, attrs: _Attrs) -> _Shape:
    data, indices, batch = _shape(inputs, 0), _shape(inputs, 1), attrs.get("batch_dims", 0)
    if not indices or not 0 <= batch < len(data):
        raise ValueError("indices need a dimension")
    return [*indices[:-1], *data[batch + indices[-1] :]]


_SIZES: dict[str, Callable[[_Inputs, _Attrs], _Shape]] = {
    **dict.fromkeys(_BROADCAST, _broadcast_all),
    "ConstantOfShape": _constant_of_shape,
    "DequantizeLinear": _quantized,
    "Expand": _expand,
    "EyeLike": _eye_like,
    "Gather": _gather,
    "GatherND": _gather_nd,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "OneHot": _one_hot,
    "Pad": _pad,
    "QuantizeLinear": _quantized,
    "Range": _range,
    "Tile": _tile,
}

FOLDABLE: frozenset[str] = _NO_LARGER | _SIZES.keys() | {"Constant"}
