"""Operator rooms: what each operator means. `OPS` and `ONNX_IMPORTS` are collected from the files."""

from __future__ import annotations

import importlib
import pkgutil

from mcugen.ops.op import Op, OnnxImport


def _collect() -> dict[str, Op]:
    rooms: dict[str, Op] = {}
    for info in sorted(pkgutil.iter_modules(__path__), key=lambda i: i.name):
        module = importlib.import_module(f"{__name__}.{info.name}")
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Op) and value.__module__ == module.__name__:
                if value is not Op:
                    rooms[value.name] = value()
    return rooms


OPS: dict[str, Op] = _collect()
ONNX_IMPORTS: dict[str, OnnxImport] = {
    onnx_type: importer for op in OPS.values() for onnx_type, importer in op.onnx.items()
}
