"""Two measurements of a library side by side: ratios new / old."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcugen.bench.measure import LayerCost, Measurement
from mcugen.errors import Fault, UsageError

FIGURES = ("instructions", "cycles", "arena_bytes", "code_bytes", "const_bytes", "stack_bytes")
_LAYER_FIGURES = ("instructions", "cycles")
_FIX = "give what `mcugen bench --json` printed"


@dataclass(frozen=True)
class Ratios:
    """New / old by figure, None where either is unknown or the old one 0; per layer likewise."""

    board: str
    total: Mapping[str, float | None]
    layers: tuple[Mapping[str, float | None], ...]


def read_old(path: Path) -> dict[str, dict[str, Any]]:
    """The measurements in a file by board. Raises UsageError if it cannot be read or holds none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else f"is no JSON: {error}"
        raise UsageError("there is nothing to compare with", [Fault(str(path), why.lower(), _FIX)]) from error
    entries = document if isinstance(document, list) else [document]
    found = {e["board"]: e for e in entries if isinstance(e, dict) and isinstance(e.get("board"), str)}
    if not found:
        raise UsageError("there is nothing to compare with", [Fault(str(path), "holds no figures", _FIX)])
    return found


def ratios(old: Mapping[str, Mapping[str, Any]], new: Sequence[Measurement]) -> list[Ratios]:
    """One entry per measurement. Raises UsageError for boards that `old` does not hold."""
    missing = [found.board for found in new if found.board not in old]
    if missing:
        faults = [
            Fault(board, f"there is only {', '.join(old)}", f"--board {next(iter(old))}") for board in missing
        ]
        raise UsageError("the old figures are of other boards", faults)
    return [_ratios(old[found.board], found) for found in new]


def _ratios(old: Mapping[str, Any], new: Measurement) -> Ratios:
    total = {figure: _ratio(old.get(figure), getattr(new, figure)) for figure in FIGURES}
    entries = old.get("layers")
    before = (
        {e["index"]: e for e in entries if isinstance(e, dict) and "index" in e}
        if isinstance(entries, list)
        else {}
    )

    def layer(cost: LayerCost) -> dict[str, float | None]:
        # An index alone may be another layer: fused or dropped ones shift all behind them.
        same = before.get(cost.index, {})
        same = same if same.get("name") == cost.name else {}
        return {figure: _ratio(same.get(figure), getattr(cost, figure)) for figure in _LAYER_FIGURES}

    return Ratios(new.board, total, tuple(layer(cost) for cost in new.layers))


def _ratio(old: Any, new: int | None) -> float | None:
    if not isinstance(old, int | float) or not old or new is None:
        return None
    return float(new / old)
