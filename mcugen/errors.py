"""Errors a user can meet: each names the place, the reason and the remedy, all faults at once.

The exit codes are part of the command line's contract: 0 fine, 1 internal error, 2 usage,
3 unreadable or invalid model, 4 unsupported operators, 5 does not fit the board,
6 verification failed, 7 a tool is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: where it is, why it cannot be, what the user can do."""

    where: str
    why: str
    fix: str = ""

    def __str__(self) -> str:
        line = f"{self.where}: {self.why}" if self.where else self.why
        return f"{line}\n    fix: {self.fix}" if self.fix else line


class McugenError(Exception):
    """Base of every error that is reported without a traceback; `headline` plus any number of faults."""

    exit_code = 1

    def __init__(self, headline: str, faults: Sequence[Fault] = ()) -> None:
        self.headline = headline
        self.faults = tuple(faults)
        super().__init__(str(self))

    def __str__(self) -> str:
        return "\n".join([self.headline, *(f"  {fault}" for fault in self.faults)])


class InternalError(McugenError):
    """The compiler contradicts itself; always a bug of ours."""

    exit_code = 1


class UsageError(McugenError):
    """A wrong option, file name, or calibration or test data."""

    exit_code = 2


class ModelError(McugenError):
    """The model file cannot be read or is not a valid model."""

    exit_code = 3


class UnsupportedError(McugenError):
    """The model is valid but holds operators or forms that cannot be compiled; lists all of them."""

    exit_code = 4


class FitError(McugenError):
    """The compiled model does not fit the board's memories."""

    exit_code = 5


class VerifyError(McugenError):
    """The generated C does not compute what the integer reference computes."""

    exit_code = 6


class ToolError(McugenError):
    """A compiler, an emulator or a Python package is missing."""

    exit_code = 7
