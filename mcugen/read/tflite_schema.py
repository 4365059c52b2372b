"""The part of the .tflite schema that we read, and a check that a file's tables lie inside of it.

The Python package `tflite` follows every offset as it comes; `verify` walks the same tables first. Slots
are those of schema.fbs (TensorFlow Lite, schema version 3), as in the package's generated accessors.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Final

import tflite

SIZES: Final = {"bool": 1, "byte": 1, "ubyte": 1, "int": 4, "uint": 4, "float": 4, "long": 8, "ulong": 8}
ENUMS: Final = {
    "ActivationFunctionType": tflite.ActivationFunctionType,
    "FullyConnectedOptionsWeightsFormat": tflite.FullyConnectedOptionsWeightsFormat,
    "LSTMKernelType": tflite.LSTMKernelType,
    "MirrorPadMode": tflite.MirrorPadMode,
    "Padding": tflite.Padding,
    "TensorType": tflite.TensorType,
}
"""Enumerations of one byte by their names in the schema."""

# One word per slot, in order: name:type; [type] is a vector, a capital a table or an enumeration.
_ACTIVATION = "fused_activation_function:ActivationFunctionType"
_STRIDES = "padding:Padding stride_w:int stride_h:int"
TABLES: Final = {
    "Model": "version:uint operator_codes:[OperatorCode] subgraphs:[SubGraph] description:string"
    " buffers:[Buffer] metadata_buffer:[int] metadata:[Metadata] signature_defs:[SignatureDef]",
    "OperatorCode": "deprecated_builtin_code:byte custom_code:string version:int builtin_code:int",
    "SubGraph": "tensors:[Tensor] inputs:[int] outputs:[int] operators:[Operator] name:string"
    " debug_metadata_index:int",
    "Tensor": "shape:[int] type:byte buffer:uint name:string quantization:QuantizationParameters"
    " is_variable:bool sparsity:SparsityParameters shape_signature:[int] has_rank:bool",
    "QuantizationParameters": "min:[float] max:[float] scale:[float] zero_point:[long] details_type:ubyte"
    " details:skipped quantized_dimension:int",
    "SparsityParameters": "",  # only whether there are any
    "Operator": "opcode_index:uint inputs:[int] outputs:[int] builtin_options_type:ubyte"
    " builtin_options:BuiltinOptions custom_options:[ubyte] custom_options_format:byte"
    " mutating_variable_inputs:[bool] intermediates:[int] large_custom_options_offset:ulong"
    " large_custom_options_size:ulong builtin_options_2_type:ubyte builtin_options_2:skipped"
    " debug_metadata_index:int",
    "Buffer": "data:[ubyte] offset:ulong size:ulong",
    "Metadata": "name:string buffer:uint",
    "SignatureDef": "inputs:[TensorMap] outputs:[TensorMap] signature_key:string deprecated_tag:skipped"
    " subgraph_index:uint",
    "TensorMap": "name:string tensor_index:uint",
    "AddOptions": f"{_ACTIVATION} pot_scale_int16:bool",
    "ArgMaxOptions": "output_type:TensorType",
    "ArgMinOptions": "output_type:TensorType",
    "BatchMatMulOptions": "adj_x:bool adj_y:bool asymmetric_quantize_inputs:bool",
    "CallOnceOptions": "init_subgraph_index:int",
    "CallOptions": "subgraph:uint",
    "CastOptions": "in_data_type:TensorType out_data_type:TensorType",
    "ConcatenationOptions": f"axis:int {_ACTIVATION}",
    "Conv2DOptions": f"{_STRIDES} {_ACTIVATION} dilation_w_factor:int dilation_h_factor:int"
    " quantized_bias_type:TensorType",
    "CumsumOptions": "exclusive:bool reverse:bool",
    "DepthToSpaceOptions": "block_size:int",
    "DepthwiseConv2DOptions": f"{_STRIDES} depth_multiplier:int {_ACTIVATION} dilation_w_factor:int"
    " dilation_h_factor:int",
    "DivOptions": _ACTIVATION,
    "FullyConnectedOptions": f"{_ACTIVATION} weights_format:FullyConnectedOptionsWeightsFormat"
    " keep_num_dims:bool asymmetric_quantize_inputs:bool quantized_bias_type:TensorType",
    "GatherOptions": "axis:int batch_dims:int",
    "GeluOptions": "approximate:bool",
    "IfOptions": "then_subgraph_index:int else_subgraph_index:int",
    "L2NormOptions": _ACTIVATION,
    "LSTMOptions": f"{_ACTIVATION} cell_clip:float proj_clip:float kernel_type:LSTMKernelType"
    " asymmetric_quantize_inputs:bool",
    "LeakyReluOptions": "alpha:float",
    "MirrorPadOptions": "mode:MirrorPadMode",
    "MulOptions": _ACTIVATION,
    "OneHotOptions": "axis:int",
    "PackOptions": "values_count:int axis:int",
    "Pool2DOptions": f"{_STRIDES} filter_width:int filter_height:int {_ACTIVATION}",
    "ReducerOptions": "keep_dims:bool",
    "ReshapeOptions": "new_shape:[int]",
    "ResizeBilinearOptions": "old_height:skipped old_width:skipped align_corners:bool half_pixel_centers:bool",
    "ResizeNearestNeighborOptions": "align_corners:bool half_pixel_centers:bool",
    "SVDFOptions": f"rank:int {_ACTIVATION} asymmetric_quantize_inputs:bool",
    "SequenceRNNOptions": f"time_major:bool {_ACTIVATION} asymmetric_quantize_inputs:bool",
    "ShapeOptions": "out_type:TensorType",
    "SoftmaxOptions": "beta:float",
    "SpaceToDepthOptions": "block_size:int",
    "SplitOptions": "num_splits:int",
    "SplitVOptions": "num_splits:int",
    "SqueezeOptions": "squeeze_dims:[int]",
    "StridedSliceOptions": "begin_mask:int end_mask:int ellipsis_mask:int new_axis_mask:int"
    " shrink_axis_mask:int offset:bool",
    "SubOptions": f"{_ACTIVATION} pot_scale_int16:bool",
    "TransposeConvOptions": f"{_STRIDES} {_ACTIVATION} quantized_bias_type:TensorType",
    "UnidirectionalSequenceLSTMOptions": f"{_ACTIVATION} cell_clip:float proj_clip:float time_major:bool"
    " asymmetric_quantize_inputs:bool diagonal_recurrent_tensors:bool",
    "UnpackOptions": "num:int axis:int",
    "VarHandleOptions": "container:string shared_name:string",
    "WhileOptions": "cond_subgraph_index:int body_subgraph_index:int",
}

FIELDS: Final = {
    name: tuple((field.split(":")[0], field.split(":")[1]) for field in fields.split())
    for name, fields in TABLES.items()
}

OPTIONS: Final = {
    "ADD": "AddOptions",
    "ARG_MAX": "ArgMaxOptions",
    "ARG_MIN": "ArgMinOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "BATCH_MATMUL": "BatchMatMulOptions",
    "CALL": "CallOptions",
    "CALL_ONCE": "CallOnceOptions",
    "CAST": "CastOptions",
    "CONCATENATION": "ConcatenationOptions",
    "CONV_2D": "Conv2DOptions",
    "CUMSUM": "CumsumOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "DEPTH_TO_SPACE": "DepthToSpaceOptions",
    "DIV": "DivOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "GATHER": "GatherOptions",
    "GELU": "GeluOptions",
    "IF": "IfOptions",
    "L2_NORMALIZATION": "L2NormOptions",
    "L2_POOL_2D": "Pool2DOptions",
    "LEAKY_RELU": "LeakyReluOptions",
    "LSTM": "LSTMOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "MIRROR_PAD": "MirrorPadOptions",
    "MUL": "MulOptions",
    "ONE_HOT": "OneHotOptions",
    "PACK": "PackOptions",
    "REDUCE_ALL": "ReducerOptions",
    "REDUCE_ANY": "ReducerOptions",
    "REDUCE_MAX": "ReducerOptions",
    "REDUCE_MIN": "ReducerOptions",
    "REDUCE_PROD": "ReducerOptions",
    "RESHAPE": "ReshapeOptions",
    "RESIZE_BILINEAR": "ResizeBilinearOptions",
    "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions",
    "SHAPE": "ShapeOptions",
    "SOFTMAX": "SoftmaxOptions",
    "SPACE_TO_DEPTH": "SpaceToDepthOptions",
    "SPLIT": "SplitOptions",
    "SPLIT_V": "SplitVOptions",
    "SQUEEZE": "SqueezeOptions",
    "STRIDED_SLICE": "StridedSliceOptions",
    "SUB": "SubOptions",
    "SUM": "ReducerOptions",
    "SVDF": "SVDFOptions",
    "TRANSPOSE_CONV": "TransposeConvOptions",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTMOptions",
    "UNIDIRECTIONAL_SEQUENCE_RNN": "SequenceRNNOptions",
    "UNPACK": "UnpackOptions",
    "VAR_HANDLE": "VarHandleOptions",
    "WHILE": "WhileOptions",
}
"""The options table of each operator that has one with fields that we know."""

_INPUTS = {
    "ADD": 2, "ARG_MAX": 2, "ARG_MIN": 2, "ASSIGN_VARIABLE": 2, "BATCH_MATMUL": 2, "BATCH_TO_SPACE_ND": 3,
    "BROADCAST_ARGS": 2, "BROADCAST_TO": 2, "CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "DIV": 2, "EQUAL": 2,
    "EXPAND_DIMS": 2, "FILL": 2, "FLOOR_DIV": 2, "FLOOR_MOD": 2, "FULLY_CONNECTED": 2, "GATHER": 2,
    "GREATER": 2, "GREATER_EQUAL": 2, "LESS": 2, "LESS_EQUAL": 2, "MAXIMUM": 2, "MEAN": 2, "MINIMUM": 2,
    "MIRROR_PAD": 2, "MUL": 2, "NOT_EQUAL": 2, "PAD": 2, "PADV2": 3, "POW": 2, "PRELU": 2, "RANGE": 3,
    "REDUCE_ALL": 2, "REDUCE_ANY": 2, "REDUCE_MAX": 2, "REDUCE_MIN": 2, "REDUCE_PROD": 2,
    "RESIZE_BILINEAR": 2, "RESIZE_NEAREST_NEIGHBOR": 2, "REVERSE_V2": 2, "SELECT": 3, "SELECT_V2": 3,
    "SLICE": 3, "SPACE_TO_BATCH_ND": 3, "SPLIT": 2, "SPLIT_V": 3, "SQUARED_DIFFERENCE": 2,
    "STRIDED_SLICE": 4, "SUB": 2, "SUM": 2, "SVDF": 5, "TILE": 2, "TRANSPOSE": 2, "TRANSPOSE_CONV": 3,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": 20, "VAR_HANDLE": 0, "CALL_ONCE": 0,
}  # fmt: skip
_OMITTED = {"SVDF": (3,), "UNIDIRECTIONAL_SEQUENCE_LSTM": tuple(range(1, 18))}
_MANY_OUTPUTS = ("SPLIT", "SPLIT_V", "UNPACK", "TOPK_V2", "UNIQUE", "IF", "WHILE", "CALL")
_NO_OUTPUT = ("ASSIGN_VARIABLE", "CALL_ONCE")


def arity_fault(code: str, present: Sequence[bool], outputs: int) -> str:
    """What is wrong with the number of an operator's inputs (which are there) and outputs; "" if nothing is."""
    needed, omitted = _INPUTS.get(code, 1), _OMITTED.get(code, ())
    missing = [i for i in range(needed) if not (i < len(present) and (present[i] or i in omitted))]
    if missing:
        return f"input {missing[0]} is missing"
    if code in _MANY_OUTPUTS:
        return "" if outputs else "it has no outputs"
    wanted = 0 if code in _NO_OUTPUT else 1
    return "" if outputs == wanted else f"it has {outputs} outputs instead of {wanted}"


BUILTIN_OPTIONS: Final = {
    number: name for name, number in vars(tflite.BuiltinOptions).items() if isinstance(number, int)
}

MAX_TABLES: Final = 1 << 16  # tables on all ways from the root: what the parser will read
MAX_VECTORS: Final = 1 << 24  # bytes of vectors and strings on all ways from the root, without buffers' data


class Damaged(Exception):
    """The bytes are no flatbuffer of this schema; says where and why."""


class _Verifier:
    """Walks all tables from the root as the parser does, without following an offset out of the file.

    Tables that are shared are walked again each time, because the parser does so too: the limits bound its
    time and memory.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.tables = 0
        self.read = 0

    def number(self, code: str, position: int, what: str) -> int:
        """A little-endian number (struct's code) at a position, which must be aligned to at most 4 bytes."""
        size = struct.calcsize(code)
        if position % size or not 0 <= position <= len(self.data) - size:
            raise Damaged(f"{what} at byte {position} lies outside of the file or is not aligned")
        return int(struct.unpack_from("<" + code, self.data, position)[0])

    def target(self, position: int, what: str) -> int:
        """The position that an offset leads to."""
        offset = self.number("I", position, what)
        if offset == 0:
            raise Damaged(f"{what} at byte {position} is an offset of 0")
        return position + offset

    def vector(self, position: int, size: int, what: str, counted: bool = True) -> int:
        """The number of elements of a vector whose elements take `size` bytes."""
        length = self.number("I", position, what)
        if length * size > len(self.data) - position - 4:
            raise Damaged(f"{what} at byte {position} has {length} elements and ends outside of the file")
        if counted:
            self.read += length * size
            if self.read > MAX_VECTORS:
                raise Damaged(f"its vectors hold more than {MAX_VECTORS} bytes")
        return length

    def table(self, position: int, name: str) -> None:
        self.tables += 1
        if self.tables > MAX_TABLES:
            raise Damaged(f"it has more than {MAX_TABLES} tables")
        vtable = position - self.number("i", position, name)
        entries = self.number("H", vtable, f"the vtable of {name}")
        size = self.number("H", vtable + 2, f"the vtable of {name}")
        if entries < 4 or entries % 2 or vtable + entries > len(self.data):
            raise Damaged(f"the vtable of {name} at byte {vtable} has the size {entries}")
        if size < 4 or position + size > len(self.data):
            raise Damaged(f"{name} at byte {position} has the size {size}")
        union = 0
        for slot, (field, kind) in enumerate(FIELDS[name][: (entries - 4) // 2]):
            (offset,) = struct.unpack_from("<H", self.data, vtable + 4 + 2 * slot)
            if offset == 0 or kind == "skipped":
                continue
            width = 1 if kind in ENUMS else SIZES.get(kind, 4)
            if offset < 4 or offset + width > size:
                raise Damaged(f"{name}.{field} lies outside of its table at byte {position}")
            if field == "builtin_options_type":
                union = self.data[position + offset]
            if kind not in SIZES and kind not in ENUMS:
                self.reference(position + offset, kind, f"{name}.{field}", union)

    def reference(self, position: int, kind: str, what: str, union: int) -> None:
        """What the offset at a position leads to: a string, a vector, a table, or an operator's options."""
        target = self.target(position, what)
        if kind == "BuiltinOptions":
            kind = BUILTIN_OPTIONS.get(union, "")
            if kind in FIELDS:  # others are not read
                self.table(target, kind)
        elif kind == "string":
            self.vector(target, 1, what)
        elif kind[0] != "[":
            self.table(target, kind)
        elif kind[1:-1] in SIZES:
            self.vector(target, SIZES[kind[1:-1]], what, counted=what != "Buffer.data")
        else:
            for i in range(self.vector(target, 4, what)):
                self.table(self.target(target + 4 + 4 * i, what), kind[1:-1])


def verify(data: bytes) -> None:
    """Raises Damaged unless all tables that a parser of this schema reads lie inside of the file."""
    if len(data) < 8 or data[4:8] != b"TFL3":
        raise Damaged('it does not begin with the identifier "TFL3" of .tflite files')
    verifier = _Verifier(data)
    verifier.table(verifier.target(0, "the root"), "Model")


_EMPTY_TABLE = (b"\x04\x00\x04\x00\x04\x00\x00\x00", 4)  # its vtable, and itself at byte 4


def text(value: bytes | None) -> str:
    """A string of the file on one line."""
    decoded = (value or b"").decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "?" for c in decoded)


def ints(table: Any, field: str) -> tuple[int, ...]:
    """A vector of integers; () where it is left out."""
    if not getattr(table, f"{field}Length")():
        return ()
    return tuple(int(i) for i in getattr(table, f"{field}AsNumpy")())


def read_options(operator: Any, code: str) -> dict[str, Any] | None:
    """All fields of an operator's options, with the schema's defaults; None if the table is another's."""
    name, given = OPTIONS.get(code), operator.BuiltinOptionsType()
    made = operator.BuiltinOptions()
    if given != 0 and made is not None and BUILTIN_OPTIONS.get(given) != name:
        return None if name else {}
    if not name:
        return {}
    table = getattr(tflite, name)()
    if given == 0 or made is None:
        table.Init(*_EMPTY_TABLE)
    else:
        table.Init(made.Bytes, made.Pos)
    options: dict[str, Any] = {}
    for field, kind in FIELDS[name]:
        if kind == "skipped":
            continue
        accessor = "".join(word.capitalize() for word in field.split("_"))
        if kind == "[int]":
            options[field] = ints(table, accessor)
            continue
        value = getattr(table, accessor)()
        if kind == "string":
            value = text(value)
        elif kind in ENUMS:
            value = _enum_name(kind, value)
        options[field] = bool(value) if kind == "bool" else value
    return options


def _enum_name(enum: str, value: int) -> str:
    for name, number in vars(ENUMS[enum]).items():
        if number == value and isinstance(number, int):
            return str(name.lower() if enum == "TensorType" else name)
    return f"number {value}"
