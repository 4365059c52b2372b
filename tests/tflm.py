"""The bit oracle: one-operator models, written by us, run by TensorFlow Lite Micro's reference kernels.

    from tflm import TensorSpec, run_tflm

    (y,) = run_tflm(
        "CONV_2D",
        {"padding": "SAME", "stride_h": 1, "stride_w": 1, "fused_activation_function": "RELU6"},
        inputs=[
            TensorSpec((1, 8, 8, 3), "int8", 0.02, -4),
            TensorSpec((4, 3, 3, 3), "int8", weight_scales, axis=0, data=weights),  # OHWI
            TensorSpec((4,), "int32", [0.02 * s for s in weight_scales], axis=0, data=bias),
        ],
        outputs=[TensorSpec((1, 8, 8, 4), "int8", 0.05, 3)],
        data=[x],
    )

Options are the fields of the TFLite schema's <Op>Options table in snake case; enumerations by name or number.
An input with `data` is a constant, an input None is an absent optional one; `data` of the call feeds the
others in order. A model that TFLM refuses raises TflmError, with TFLM's own words on stderr; one that aborts
the process must be run with isolated=True, which gives TflmError too. `build` gives the .tflite file's bytes
and `run_model` runs them, for many samples of one model. What the operators ask for:

    CONV_2D [x, w OHWI (axis 0), bias]       DEPTHWISE_CONV_2D [x, w 1HWC (axis 3), bias], depth_multiplier
    FULLY_CONNECTED [x, w (out, in), bias or None]    MEAN [x, axes int32 constant], keep_dims
    PAD [x, int32 (rank, 2)]   RESHAPE [x, int32 shape]   TRANSPOSE [x, int32 permutation]
    STRIDED_SLICE [x, begin, end, strides: int32]    SPLIT [int32 axis of shape (1,), x], num_splits
    pools: filter_height, filter_width, stride_h, stride_w, padding    CONCATENATION: axis    SOFTMAX: beta
    LEAKY_RELU: alpha    SOFTMAX and LOGISTIC give (1/256, -128), TANH (1/128, 0) and refuse anything else

Tests that use the oracle are skipped where its wheel is missing (the extra `dev` has it), but not on CI.
"""

from __future__ import annotations

import concurrent.futures
import faulthandler
import multiprocessing
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from tflm_record import record

WHEEL = "tflite-micro==0.dev20261023182759"

OPTIONS = {
    "ADD": "AddOptions",
    "SUB": "SubOptions",
    "MUL": "MulOptions",
    "DIV": "DivOptions",
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "TRANSPOSE_CONV": "TransposeConvOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "BATCH_MATMUL": "BatchMatMulOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "SUM": "ReducerOptions",
    "REDUCE_MAX": "ReducerOptions",
    "REDUCE_MIN": "ReducerOptions",
    "SOFTMAX": "SoftmaxOptions",
    "LEAKY_RELU": "LeakyReluOptions",
    "CONCATENATION": "ConcatenationOptions",
    "RESHAPE": "ReshapeOptions",
    "STRIDED_SLICE": "StridedSliceOptions",
    "SPLIT": "SplitOptions",
    "SPLIT_V": "SplitVOptions",
    "SQUEEZE": "SqueezeOptions",
    "PACK": "PackOptions",
    "UNPACK": "UnpackOptions",
    "GATHER": "GatherOptions",
    "RESIZE_BILINEAR": "ResizeBilinearOptions",
    "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions",
    "SPACE_TO_DEPTH": "SpaceToDepthOptions",
    "DEPTH_TO_SPACE": "DepthToSpaceOptions",
    "MIRROR_PAD": "MirrorPadOptions",
    "L2_NORMALIZATION": "L2NormOptions",
    "VAR_HANDLE": "VarHandleOptions",
    "READ_VARIABLE": "ReadVariableOptions",
    "ASSIGN_VARIABLE": "AssignVariableOptions",
    "CALL_ONCE": "CallOnceOptions",
    "SVDF": "SVDFOptions",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTMOptions",
}
"""The options table of each operator that has one; the others need none."""

ENUMS = {  # of a field; *activation_function is one, too
    "padding": "Padding",
    "mode": "MirrorPadMode",
    "weights_format": "FullyConnectedOptionsWeightsFormat",
}


class TflmError(Exception):
    """TFLM refused the model, failed to run it, or ended its process."""


@dataclass(frozen=True, eq=False)
class TensorSpec:
    """A tensor: real = scale * (q - zero_point), per tensor or per index of `axis`; None: not quantized."""

    shape: tuple[int, ...]
    dtype: str = "int8"
    scale: float | Sequence[float] | None = None
    zero_point: int | Sequence[int] = 0
    axis: int = 0
    data: Any = None  # array-like of this shape: the tensor is a constant
    variable: bool = False  # the tensor belongs to the operator and keeps its values between runs


def run_tflm(
    op: str,
    options: Mapping[str, Any],
    inputs: Sequence[TensorSpec | None],
    outputs: Sequence[TensorSpec],
    data: Sequence[np.ndarray[Any, Any]],
    isolated: bool = False,
) -> list[np.ndarray[Any, Any]]:
    """Build the model of one operator, run it once, return its outputs."""
    return run_model(build(op, options, inputs, outputs), data, isolated)


def run_model(
    model: bytes, data: Sequence[np.ndarray[Any, Any]], isolated: bool = False
) -> list[np.ndarray[Any, Any]]:
    """Run a .tflite file's bytes once. `isolated` runs it in a process of its own, against aborts."""
    outputs = _run_somewhere(model, data, isolated)
    record(_package()[1], model, data, outputs)
    return outputs


def _run_somewhere(
    model: bytes, data: Sequence[np.ndarray[Any, Any]], isolated: bool
) -> list[np.ndarray[Any, Any]]:
    _package()
    if not isolated:
        return _run(model, [data])[0]
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        try:
            return pool.submit(_run_quietly, model, [data]).result()[0]
        except concurrent.futures.BrokenExecutor as error:
            raise TflmError("TFLM aborted") from error


def run_sequence(
    model: bytes, samples: Sequence[Sequence[np.ndarray[Any, Any]]]
) -> list[list[np.ndarray[Any, Any]]]:
    """Run a .tflite file's bytes on one sample after the other; its states persist. Outputs per sample."""
    outputs = _run(model, samples)
    for step, (data, given) in enumerate(zip(samples, outputs, strict=True)):
        record(_package()[1], model, data, given, step)
    return outputs


def build(
    op: str, options: Mapping[str, Any], inputs: Sequence[TensorSpec | None], outputs: Sequence[TensorSpec]
) -> bytes:
    """The .tflite file of one operator; its inputs are those specs that have no data, in order."""
    schema = _package()[1]
    buffers = [schema.BufferT()]
    tensors: list[Any] = []

    def add(spec: TensorSpec | None) -> int:
        if spec is None:
            return -1
        tensors.append(_tensor(schema, spec, f"t{len(tensors)}", buffers))
        return len(tensors) - 1

    operator = schema.OperatorT(inputs=[add(s) for s in inputs], outputs=[add(s) for s in outputs])
    if op in OPTIONS:
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, OPTIONS[op])
        operator.builtinOptions = _options(schema, OPTIONS[op], options)
    else:
        assert not options, f"{op} takes no options"
    fed = [
        i
        for spec, i in zip(inputs, operator.inputs, strict=True)
        if spec is not None and spec.data is None and not spec.variable
    ]
    graph = schema.SubGraphT(tensors=tensors, inputs=fed, outputs=operator.outputs, operators=[operator])
    code = getattr(schema.BuiltinOperator, op)
    codes = [schema.OperatorCodeT(builtinCode=code, deprecatedBuiltinCode=min(code, 127), version=1)]
    return pack(schema.ModelT(version=3, operatorCodes=codes, subgraphs=[graph], buffers=buffers))


def pack(model: Any) -> bytes:
    """The file of a ModelT."""
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _package() -> tuple[Any, Any]:
    """TFLM's interpreter and the schema's object API; skips where the wheel is missing, not on CI."""
    if os.environ.get("CI", "").lower() != "true":
        pytest.importorskip("tflite_micro", reason=f"the oracle is missing: pip install {WHEEL}")
    from tflite_micro.python.tflite_micro import runtime
    from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

    return runtime, schema


def _run(model: bytes, samples: Sequence[Sequence[np.ndarray[Any, Any]]]) -> list[list[np.ndarray[Any, Any]]]:
    runtime, schema = _package()
    graph = schema.Model.GetRootAsModel(model, 0).Subgraphs(0)
    assert all(graph.InputsLength() == len(data) for data in samples), (
        f"the model has {graph.InputsLength()} inputs"
    )
    arena = 1 << 17  # bytes; and room for every tensor and its working copies
    for i in range(graph.TensorsLength()):
        arena += 8 * int(np.prod(graph.Tensors(i).ShapeAsNumpy(), dtype=np.int64))
    results = []
    try:
        interpreter = runtime.Interpreter.from_bytes(model, arena_size=arena)
        for data in samples:
            for i, array in enumerate(data):
                interpreter.set_input(np.ascontiguousarray(array), i)
            interpreter.invoke()
            results.append([np.array(interpreter.get_output(i)) for i in range(graph.OutputsLength())])
    except (RuntimeError, ValueError) as error:
        raise TflmError(str(error)) from error
    return results


def _run_quietly(
    model: bytes, samples: Sequence[Sequence[np.ndarray[Any, Any]]]
) -> list[list[np.ndarray[Any, Any]]]:
    faulthandler.disable()  # pytest's would print a traceback of an abort that is expected
    return _run(model, samples)


def _tensor(schema: Any, spec: TensorSpec, name: str, buffers: list[Any]) -> Any:
    tensor = schema.TensorT(
        shape=list(spec.shape),
        name=name,
        type=getattr(schema.TensorType, spec.dtype.upper()),
        isVariable=spec.variable,
    )
    if spec.scale is not None:
        scales = np.atleast_1d(np.asarray(spec.scale, np.float32))
        zero_points = np.broadcast_to(np.asarray(spec.zero_point, np.int64), scales.shape)
        tensor.quantization = schema.QuantizationParametersT(
            scale=scales, zeroPoint=np.ascontiguousarray(zero_points), quantizedDimension=spec.axis
        )
    if spec.data is not None:
        array = np.ascontiguousarray(spec.data, np.dtype(spec.dtype))
        assert array.shape == tuple(spec.shape), f"{name}: data {array.shape} for shape {spec.shape}"
        tensor.buffer = len(buffers)
        buffers.append(_aligned(schema.BufferT(data=np.frombuffer(array.tobytes(), np.uint8))))
    return tensor


def _aligned(buffer: Any) -> Any:
    """The schema wants data at multiples of 16 bytes, which its generated writer forgets."""
    write = buffer.Pack

    def pack(builder: Any) -> Any:
        builder.Prep(16, buffer.data.size)
        return write(builder)

    buffer.Pack = pack
    return buffer


def _options(schema: Any, table: str, options: Mapping[str, Any]) -> Any:
    made = getattr(schema, table + "T")()
    for name, value in options.items():
        enum = "ActivationFunctionType" if name.endswith("activation_function") else ENUMS.get(name)
        first, *rest = name.split("_")
        field = first + "".join(word.capitalize() for word in rest)
        assert hasattr(made, field), f"{table} has no {name}"
        setattr(
            made, field, getattr(getattr(schema, enum), value) if enum and isinstance(value, str) else value
        )
    return made
