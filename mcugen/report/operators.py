"""The table of `mcugen ops` and docs/operators.md, taken from the code itself. Run as a module it prints the page."""

from __future__ import annotations

import inspect
import sys
from typing import Any

from mcugen.kernels import KERNELS
from mcugen.ops import OPS
from mcugen.read.fold import FOLDABLE
from mcugen.select import ALIASES


def operator_table() -> dict[str, Any]:
    """Rows {operator, onnx, kernels}, and the ONNX operators that may stand in constant parts of a model."""
    rows = [
        {
            "operator": op.name,
            "onnx": sorted(op.onnx),
            "kernels": sorted({k.template or k.name for k in KERNELS.values() if op.name in k.ops}),
            "note": "costs nothing" if op.name in ALIASES else "",
        }
        for op in OPS.values()
    ]
    return {"operators": rows, "constant": sorted(FOLDABLE)}


def operators_page() -> str:
    """docs/operators.md: a section per operator."""
    table = operator_table()
    lines = ["# Operators", "", "Made from the code by `make docs`; do not edit.", ""]
    for row in table["operators"]:
        op = OPS[row["operator"]]
        module = inspect.getdoc(sys.modules[type(op).__module__]) or ""
        kernels = ", ".join(f"`{name}`" for name in row["kernels"])
        lines += [
            f"## {op.name}",
            "",
            " ".join(module.split("\n\n")[0].split()),
            "",
            f"* ONNX: {', '.join(row['onnx']) or '-'}",
            f"* TFLite: {', '.join(sorted(op.tflite)) or '-'}",
            f"* kernels: {kernels or row['note'] or 'none: only an import'}",
            "",
        ]
    lines += ["## In constant parts of an ONNX model also", "", ", ".join(table["constant"])]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(operators_page())
