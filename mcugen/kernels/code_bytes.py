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
def measured() -> Mapping[str, int]:
    """Bytes by the function's name, with what it alone pulls in from the runtime headers, at -O2 on a Cortex-M4 (or
    on the first core that the kernel serves)."""
    found: dict[str, int] = json.loads(FILE.read_text(encoding="utf-8"))["functions"]
    return found


def code_bytes(function: str, kernel: str) -> int:
    """Bytes of a kernel's function; of one that was not measured as many as the largest of the kernel's others."""
    known = measured()
    if function in known:
        return known[function]
    return max((size for name, size in known.items() if name.startswith(kernel)), default=UNKNOWN)
