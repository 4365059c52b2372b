"""The table of `mcugen ops`, taken from the code itself."""

from __future__ import annotations

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
            "kernels": sorted(k.name for k in KERNELS.values() if op.name in k.ops),
            "note": "costs nothing" if op.name in ALIASES else "",
        }
        for op in OPS.values()
    ]
    return {"operators": rows, "constant": sorted(FOLDABLE)}
