""".tflite files of several operators for tests, and files that are wrong in one way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tflm
from tflm import TensorSpec

Operator = tuple[str, Mapping[str, Any], Sequence[int], Sequence[int]]  # code, options, inputs, outputs


def model(
    tensors: Sequence[TensorSpec],
    operators: Sequence[Operator],
    inputs: Sequence[int],
    outputs: Sequence[int],
    edit: Callable[[Any, Any], None] = lambda made, schema: None,
) -> bytes:
    """A file of one subgraph whose tensors are called t0, t1, ...; `edit` may change the schema's ModelT first."""
    schema = tflm._package()[1]
    buffers = [schema.BufferT()]
    made = [tflm._tensor(schema, spec, f"t{i}", buffers) for i, spec in enumerate(tensors)]
    codes, ops = [], []
    for index, (code, options, read, written) in enumerate(operators):
        number = getattr(schema.BuiltinOperator, code)
        codes.append(
            schema.OperatorCodeT(builtinCode=number, deprecatedBuiltinCode=min(number, 127), version=1)
        )
        op = schema.OperatorT(opcodeIndex=index, inputs=list(read), outputs=list(written))
        if code in tflm.OPTIONS:
            op.builtinOptionsType = getattr(schema.BuiltinOptions, tflm.OPTIONS[code])
            op.builtinOptions = tflm._options(schema, tflm.OPTIONS[code], options)
        ops.append(op)
    graph = schema.SubGraphT(tensors=made, inputs=list(inputs), outputs=list(outputs), operators=ops)
    whole = schema.ModelT(version=3, operatorCodes=codes, subgraphs=[graph], buffers=buffers)
    edit(whole, schema)
    return tflm.pack(whole)


def add_subgraph(made: Any, schema: Any, other: bytes) -> None:
    """Append the subgraph of another file of `model`, with its operator codes and buffers; for `edit`."""
    extra = schema.ModelT.InitFromPackedBuf(other, 0)
    graph = extra.subgraphs[0]
    for tensor in graph.tensors:
        tensor.buffer = tensor.buffer + len(made.buffers) if tensor.buffer else 0
    for op in graph.operators:
        op.opcodeIndex += len(made.operatorCodes)
    made.buffers += [tflm._aligned(b) if b.data is not None else b for b in extra.buffers]
    made.operatorCodes += extra.operatorCodes
    made.subgraphs.append(graph)
