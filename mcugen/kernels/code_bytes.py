"""How many bytes of code the C functions of kernels take: measured, stored in code_bytes.json, for the choice between
kernels. `make code-bytes` writes the file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("code_bytes.json")
UNKNOWN = 1000  # of a kernel that was never measured


@cache
def measured() -> Mapping[str, Mapping[str, int]]:
    """Bytes by part of each C function, by the function's name: of the function itself with what it alone calls, and
    of those of the runtime's functions that it shares with others. At -O2 on a Cortex-M4, or on the first core that
    the kernel serves."""
    found = json.loads(FILE.read_text(encoding="utf-8"))
    shared = found["shared"]
    return {
        name: {name: size, **{part: shared[part] for part in parts}}
        for name, (size, *parts) in found["functions"].items()
    }


def code_bytes(function: str, kernel: str) -> Mapping[str, int]:
    """Bytes of a kernel's function by part; of one that was not measured as of the largest of the kernel's others."""
    known = measured()
    if function in known:
        return known[function]
    others = [(sum(parts.values()), name) for name, parts in known.items() if name.startswith(kernel)]
    if not others:
        return {function: UNKNOWN}
    _, largest = max(others)
    return {function if part == largest else part: size for part, size in known[largest].items()}
