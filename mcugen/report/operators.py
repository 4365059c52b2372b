"""The table of `mcugen ops` and docs/operators.md, taken from the code itself. Run as a module it prints the page."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from typing import Any

from mcugen.boards import board_names, load_board
from mcugen.ir import DType
from mcugen.kernels import KERNELS
from mcugen.kernels.kernel import Kernel
from mcugen.ops import OPS
from mcugen.read.fold import FOLDABLE
from mcugen.read.quantized import EXPANDED
from mcugen.select import ALIASES

HEAD = """# Operators

Made from the code by `make docs`; do not edit.

Shapes are static. Restrictions are what an import asks for; it refuses anything else with a sentence. Behind a kernel
stand the types of elements that it reads and writes, its cores, and what it asks for. int8 activations have one scale
and zero point, int8 weights (with an int32 bias) one scale or one per output channel. Activations that a .tflite file
fuses are RELU, RELU6 and RELU_N1_TO_1."""


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


def cores(kernel: Kernel) -> str:
    """The cores that a kernel is for."""
    boards = [load_board(name) for name in board_names()]
    served = {board.cpu for board in boards if kernel.serves(board)}
    return "every core" if served == {board.cpu for board in boards} else ", ".join(sorted(served)) or "none"


def operators_page() -> str:
    """docs/operators.md: a section per operator."""
    table = operator_table()
    lines = [HEAD, ""]
    for row in table["operators"]:
        op = OPS[row["operator"]]
        module = inspect.getdoc(sys.modules[type(op).__module__]) or ""
        lines += [f"## {op.name}", "", " ".join(module.split("\n\n")[0].split()), ""]
        lines += [
            f"* ONNX: {', '.join(row['onnx']) or '-'}",
            f"* TFLite: {', '.join(sorted(op.tflite)) or '-'}",
        ]
        if op.restrictions:
            lines += ["* restrictions:", *(f"  * {restriction}" for restriction in op.restrictions)]
        if row["kernels"]:
            lines += [_kernel_line(name) for name in row["kernels"]]
        else:
            lines.append(f"* kernels: {row['note'] or 'none: only an import'}")
        lines.append("")
    integers = sorted(name.removeprefix("com.microsoft.") for name in EXPANDED)
    lines += ["## ONNX operators on integers, taken apart on import", "", ", ".join(integers), ""]
    lines += ["## In constant parts of an ONNX model also", "", ", ".join(table["constant"])]
    return "\n".join(lines) + "\n"


def _kernel_line(name: str) -> str:
    """A kernel, or those that are printed from one template."""
    kernels = [k for _, k in sorted(KERNELS.items()) if (k.template or k.name) == name]
    limits = f"; {', '.join(kernels[0].limits)}" if kernels[0].limits else ""
    return f"* kernel `{name}`: {types(kernels)}; {cores(kernels[0])}{limits}"


def types(kernels: Sequence[Kernel]) -> str:
    """The element types that kernels read and write."""
    pairs = list(dict.fromkeys(pair for kernel in kernels for pair in kernel.types))
    if set(pairs) == {(dtype, dtype) for dtype in DType}:
        return "every type"
    return ", ".join(f"{x} -> {y}" for x, y in pairs)


if __name__ == "__main__":
    sys.stdout.write(operators_page())
