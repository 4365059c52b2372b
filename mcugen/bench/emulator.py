"""Runs firmware in QEMU and reads what it prints: wrong bytes, wrong layers, executed instructions."""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from mcugen.bench.firmware import STACK_BYTES, FirmwareImage
from mcugen.boards import Board, Machine
from mcugen.errors import Fault, ToolError, VerifyError
from mcugen.tools import run_tool

SYSTICK_HANDLER_INSTRUCTIONS = 5  # SysTick_Handler in templates/firmware/counter_arm.c
_QEMU = {"arm": ["qemu-system-arm"], "riscv32": ["qemu-system-riscv32", "-bios", "none"]}
_EXIT_FAULT = 200
_EXIT_MOST = 100
# Bits of the Configurable Fault Status Register: Armv7-M Architecture Reference Manual, B3.2.15.
_CFSR = {
    0: "IACCVIOL", 1: "DACCVIOL", 3: "MUNSTKERR", 4: "MSTKERR", 5: "MLSPERR",
    8: "IBUSERR", 9: "PRECISERR", 10: "IMPRECISERR", 11: "UNSTKERR", 12: "STKERR", 13: "LSPERR",
    16: "UNDEFINSTR", 17: "INVSTATE", 18: "INVPC", 19: "NOCP", 20: "STKOF", 24: "UNALIGNED", 25: "DIVBYZERO",
}  # fmt: skip


@dataclass(frozen=True)
class EmulationResult:
    """What both programs printed.

    machine: the name of the machine that ran. instructions: executed per vector from the call of
    `<name>_run` to its return, exact. layer_instructions: per layer of the first vector, exact to the few
    instructions of a call; empty if not asked for. wrong_bytes: of all outputs. wrong_layers: (vector,
    layer). stack_bytes: most stack in use, the firmware's own functions included. stdout: of the checking
    program.
    """

    machine: str
    instructions: tuple[int, ...]
    layer_instructions: tuple[int, ...]
    wrong_bytes: int
    wrong_layers: tuple[tuple[int, int], ...]
    stack_bytes: int
    stdout: str

    @property
    def ok(self) -> bool:
        return self.wrong_bytes == 0 and not self.wrong_layers


@dataclass(frozen=True)
class Counted:
    """What the counting program printed; see EmulationResult."""

    instructions: tuple[int, ...]
    wrong_bytes: int
    stack_bytes: int


def run_firmware(
    image: FirmwareImage, board: Board, *, layers: bool = False, timeout: float = 300.0
) -> EmulationResult:
    """Runs both programs, each for at most `timeout` seconds.

    Raises ToolError if the emulator is missing or too slow, VerifyError if a program faults, locks up, uses
    up its stack, or the two disagree. Wrong bytes and layers are a result, not an error.
    """
    # Counting slows the emulator down; the checking program needs it for its layers alone.
    checked, stdout = _run(image.checking, image.machine, board, timeout, count=layers)
    counted = run_counting(image, board, timeout=timeout)
    wrong = sum(line["wrong_bytes"] for line in checked if "vector" in line)
    if wrong != counted.wrong_bytes:
        why = f"{wrong} wrong bytes with a hook after every layer, {counted.wrong_bytes} without"
        raise VerifyError("the firmware contradicts itself", [Fault(image.machine.name, why)])
    per_layer: tuple[int, ...] = ()
    if layers:
        lines = [(line["layer"], _instructions(line, image.machine)) for line in checked if "layer" in line]
        hook = [count for layer, count in lines if layer < 0][-1]
        per_layer = tuple(count - hook for layer, count in lines if layer >= 0)
    wrong_layers = [
        (line["wrong_layer"][0], line["wrong_layer"][1]) for line in checked if "wrong_layer" in line
    ]
    return EmulationResult(
        machine=image.machine.name,
        instructions=counted.instructions,
        layer_instructions=per_layer,
        wrong_bytes=wrong,
        wrong_layers=tuple(wrong_layers),
        stack_bytes=counted.stack_bytes,
        stdout=stdout,
    )


def run_counting(
    image: FirmwareImage, board: Board, *, timeout: float = 300.0, options: Sequence[str] = ()
) -> Counted:
    """Runs the counting program alone; `options` are more of the emulator's. Raises as run_firmware does."""
    lines, _ = _run(image.counting, image.machine, board, timeout, count=True, options=options)
    vectors = [line for line in lines if "vector" in line]
    empty = next(_instructions(line, image.machine) for line in lines if "empty" in line)
    return Counted(
        # The empty function is its return alone, which belongs to the count.
        instructions=tuple(_instructions(line, image.machine) - empty + 1 for line in vectors),
        wrong_bytes=sum(line["wrong_bytes"] for line in vectors),
        stack_bytes=lines[-1]["stack"],
    )


def _instructions(line: dict[str, Any], machine: Machine) -> int:
    """Instructions from a counter's periods and remainder, without those of the counter's own interrupts."""
    high, low, interrupts = (int(number) for number in line["count"])
    if machine.counter == "minstret":
        return high * 2**32 + low
    assert machine.clock_hz is not None
    ticks_per_instruction = Fraction(machine.clock_hz * 2**machine.icount_shift, 10**9)
    return round((high * 2**24 + low) / ticks_per_instruction) - SYSTICK_HANDLER_INSTRUCTIONS * int(
        interrupts
    )


def qemu_command(machine: Machine, elf: Path, *, count: bool) -> list[str]:
    """The command that runs a program; `count` makes virtual time advance by instructions."""
    program, *options = _QEMU[machine.qemu]
    icount = ["-icount", f"shift={machine.icount_shift}"] if count else []
    plain = ["-nographic", "-monitor", "none", "-serial", "none"]
    semihosting = ["-chardev", "stdio,id=sh", "-semihosting-config", "enable=on,target=native,chardev=sh"]
    return [program, "-M", machine.machine, *options, *plain, *semihosting, *icount, "-kernel", str(elf)]


def _run(
    elf: Path, machine: Machine, board: Board, timeout: float, *, count: bool, options: Sequence[str] = ()
) -> tuple[list[dict[str, Any]], str]:
    done = run_tool([*qemu_command(machine, elf, count=count), *options], timeout=timeout)
    lines = _parse(done.stdout)
    where = f"{board.name} on {machine.name}"
    fault = next((line for line in lines if "fault" in line), None)
    if fault is not None:
        raise VerifyError("the firmware faulted", [Fault(where, _describe(fault))])
    stack = lines[-1].get("stack", 0) if lines else 0
    if stack >= STACK_BYTES:
        raise VerifyError(
            "the firmware used up its stack", [Fault(where, f"it has {STACK_BYTES} bytes of stack")]
        )
    if not lines or "end" not in lines[-1] or done.returncode > _EXIT_MOST or done.returncode < 0:
        shown = (done.stderr.strip() or done.stdout.strip() or "nothing was printed").splitlines()[:6]
        hint = ", a lock-up: often a stack that overflowed" if done.returncode == -signal.SIGABRT else ""
        why = f"exit code {done.returncode}{hint}: {' / '.join(shown)}"
        if not done.stdout.strip() and done.returncode == 1:  # QEMU itself refused
            raise ToolError("the emulator did not start", [Fault(where, why)])
        raise VerifyError("the firmware did not come to its end", [Fault(where, why)])
    return lines, done.stdout


def _parse(stdout: str) -> list[dict[str, Any]]:
    lines = []
    for text in stdout.splitlines():
        try:
            line = json.loads(text)
        except ValueError:  # cut short by a fault
            continue
        if isinstance(line, dict):
            lines.append(line)
    return lines


def _describe(fault: dict[str, Any]) -> str:
    names = [name for bit, name in _CFSR.items() if fault.get("cfsr", 0) >> bit & 1]
    if "overflowed_sp" in fault:
        names.append(f"after the stack of {STACK_BYTES} bytes overflowed")
    values = ", ".join(f"{key} {value:#x}" for key, value in fault.items() if key != "fault")
    return f"exception {fault['fault']} {' '.join(names)}".strip() + f" ({values})"
