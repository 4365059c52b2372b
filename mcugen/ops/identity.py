"""Operators that change nothing at inference: Identity, Dropout, Cast between float types and of indices; only
imports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mcugen.ops.op import Op

if TYPE_CHECKING:
    from mcugen.read.onnx_import import Importer, OnnxNode

FLOAT_TYPES = {1: "FLOAT", 10: "FLOAT16", 11: "DOUBLE", 16: "BFLOAT16"}  # onnx.TensorProto.DataType
INDEX_TYPES = {6: "INT32", 7: "INT64"}


def import_identity(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    return [n.inputs[0]]


def import_dropout(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    if any(n.outputs[1:]):
        ctx.unsupported(n, "the second output (mask) is not supported", "export with model.eval()")
    if n.has_input(2):
        training = ctx.value(n.inputs[2])
        if training is None or training.any():
            ctx.unsupported(n, "dropout in training mode", "export with model.eval()")
    return [n.inputs[0]]


def import_cast(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    integer = n.attr("to") in INDEX_TYPES and ctx.is_index(n.inputs[0])
    if n.attr("to") not in FLOAT_TYPES and not integer:
        ctx.unsupported(n, "a cast of activations to integers is not supported", "cut the model before it")
    return [n.inputs[0]]


class Identity(Op):
    """No node of a graph: the import gives back the input."""

    name = "identity"
    restrictions = (
        "Dropout: in inference mode, without mask",
        "Cast: to float types, and of indices to int32 and int64",
    )
    onnx = {"Identity": import_identity, "Dropout": import_dropout, "Cast": import_cast}
