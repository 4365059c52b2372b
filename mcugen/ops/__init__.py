"""Operator rooms: what each operator means. `OPS` and `ONNX_IMPORTS` are collected from the files."""

from __future__ import annotations

import importlib
import pkgutil

from mcugen.ops.op import OnnxImport, Op


def _collect() -> dict[str, Op]:
    rooms: dict[str, Op] = {}
    for info in sorted(pkgutil.iter_modules(__path__), key=lambda i: i.name):
        module = importlib.import_module(f"{__name__}.{info.name}")
        for value in vars(module).values():
            local = isinstance(value, type) and value.__module__ == module.__name__
            if local and issubclass(value, Op) and value is not Op:
                rooms[value.name] = value()
    return rooms


OPS: dict[str, Op] = _collect()
ONNX_IMPORTS: dict[str, OnnxImport] = {
    onnx_type: importer for op in OPS.values() for onnx_type, importer in op.onnx.items()
}
