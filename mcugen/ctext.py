"""Numbers and names as text of C."""

from __future__ import annotations

import numpy as np

from mcugen.ir import Array


def comment_text(text: str, most: int = 110) -> str:
    """Text from a model file, safe inside a C comment on one line; the middle of a long one is left out."""
    plain = "".join(c if c.isprintable() and ord(c) < 128 else "_" for c in text).replace("\\", "/")
    if len(plain) > most:
        plain = f"{plain[: most // 2 - 2]}...{plain[-(most - most // 2 - 1) :]}"
    for pair in ("*/", "/*", "??"):  # ends a comment, seems to begin one, begins a trigraph
        while pair in plain:
            plain = plain.replace(pair, " ".join(pair))
    return plain


def float_text(value: float) -> str:
    """A float32 value with as many digits as give it back, always recognisable as floating point in C."""
    number = np.float32(value)
    if 1e-4 <= abs(number) < 1e7:
        return np.format_float_positional(number, unique=True, trim="0")
    return np.format_float_scientific(number, unique=True, trim="0")


def formula_text(scale: float, zero_point: int) -> str:
    """The real value of an integer q, for a comment."""
    if zero_point == 0:
        return f"{float_text(scale)} * q"
    return f"{float_text(scale)} * (q {'-' if zero_point > 0 else '+'} {abs(zero_point)})"


def number_text(value: float) -> str:
    """A number as a C constant of its type, int or float32."""
    if isinstance(value, float):
        return f"{'-' if value < 0 else ''}MCUGEN_INFINITY" if np.isinf(value) else f"{float_text(value)}f"
    return "(-2147483647 - 1)" if value == -(2**31) else str(value)


def array_text(array: Array) -> str:
    """Initialiser lines of at most 100 columns."""
    lines: list[str] = []
    line = "   "
    for item in array.tolist():
        text = f" {number_text(item)},"
        if len(line) + len(text) > 100:
            lines.append(line)
            line = "   "
        line += text
    return "\n".join([*lines, line])
