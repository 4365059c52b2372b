"""Operator rooms: what each operator means. `OPS` and `ONNX_IMPORTS` are collected from the files."""

from __future__ import annotations

from mcugen.ops.op import OnnxImport, Op, TfliteImport
from mcugen.rooms import collect

OPS: dict[str, Op] = collect(__name__, __path__, Op)
ONNX_IMPORTS: dict[str, OnnxImport] = {
    onnx_type: importer for op in OPS.values() for onnx_type, importer in op.onnx.items()
}
TFLITE_IMPORTS: dict[str, TfliteImport] = {
    code: importer for op in OPS.values() for code, importer in op.tflite.items()
}
