"""What a conversion says when it cannot go on. Runs in the user's Python, which may be older and have no mcugen."""

from __future__ import annotations


class Refusal(Exception):
    """`kind`: missing (a package), model (invalid), unsupported; faults as (where, why, fix)."""

    def __init__(self, kind: str, *faults: tuple[str, str, str]) -> None:
        super().__init__(kind)
        self.kind = kind
        self.faults = faults


def first_line(error: BaseException, limit: int = 400) -> str:
    """What an error of a framework says, short enough for one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(lines) if lines else type(error).__name__
    return text if len(text) <= limit else f"{text[:limit]} ..."
