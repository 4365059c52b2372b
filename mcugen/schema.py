"""Faults of files that pydantic checks, in the user's words."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from mcugen.errors import Fault


def schema_fault(file: str, detail: dict[str, Any], first: Container[str] = ()) -> Fault:
    """One of pydantic's errors as file, field, reason and remedy. `first`: fields that a rule across fields may name
    first in its message."""
    where = ""
    for part in detail["loc"]:
        where += f"[{part}]" if isinstance(part, int) else f".{part}"
    kind, message = detail["type"], str(detail["msg"]).removeprefix("Value error, ")
    place, _, rest = message.partition(": ")
    if not where and place in first:
        where, message = place, rest
    fix = {
        "missing": "add it",
        "extra_forbidden": "remove it, or correct its spelling",
    }.get(kind, "correct the value")
    if kind in ("missing", "extra_forbidden"):
        message = "this field is required" if kind == "missing" else "there is no such field"
    elif kind != "value_error":
        message = f"{message[0].lower()}{message[1:]}, not {detail['input']!r}"
    return Fault(f"{file}: {where.lstrip('.')}" if where else file, message, fix)
