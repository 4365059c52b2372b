"""What `mcugen bench` prints: layers with their instructions and cycles, bytes by symbol, the deepest stack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mcugen.report.text import Rows, console

if TYPE_CHECKING:
    from mcugen.bench.compare import Ratios
    from mcugen.bench.measure import Measurement

_MOST_SYMBOLS = 5  # of a kind, that are printed; all stand in the JSON
_WORDS = {
    "arena_bytes": "arena",
    "code_bytes": "code",
    "const_bytes": "constants",
    "stack_bytes": "stack",
}


def as_plain(found: Sequence[Measurement], compared: Sequence[Ratios] | None) -> Any:
    """For JSON: an object for one board, a list for several; with the key `compared` if there is something old."""
    plain = [asdict(one) for one in found]
    for one, ratio in zip(plain, compared or (), strict=compared is not None):
        one["compared"] = {"total": dict(ratio.total), "layers": [dict(layer) for layer in ratio.layers]}
    return plain[0] if len(plain) == 1 else plain


def print_bench(found: Sequence[Measurement], compared: Sequence[Ratios] | None) -> None:
    """What `mcugen bench` says."""
    for i, one in enumerate(found):
        if i:
            console.print()
        _print_one(one, compared[i] if compared else None)


def _print_one(found: Measurement, ratio: Ratios | None) -> None:
    for note in found.notes:
        console.print(f"note: {note}", markup=False)
    _layers(found, ratio)
    console.print(
        f"board   {found.board}, emulated on {found.machine}; {found.compiler} {found.opt}", markup=False
    )
    _speed(found)
    console.print(f"RAM     {found.arena_bytes:,} bytes of arena, {_stack(found)}", markup=False)
    console.print(f"flash   {found.code_bytes:,} bytes of code: {_symbols(found, 'code')}", markup=False)
    console.print(
        f"        {found.const_bytes:,} bytes of constants: {_symbols(found, 'const')}", markup=False
    )
    if ratio is not None:
        parts = [f"{_WORDS.get(name, name)} {_times(value)}" for name, value in ratio.total.items()]
        console.print(f"new/old {', '.join(parts)}", markup=False)


def _symbols(found: Measurement, kind: str) -> str:
    """The largest ones."""
    all_of_kind = [f"{symbol.name} {symbol.bytes:,}" for symbol in found.symbols if symbol.kind == kind]
    more = [f"{len(all_of_kind) - _MOST_SYMBOLS} more"] if len(all_of_kind) > _MOST_SYMBOLS else []
    return ", ".join([*all_of_kind[:_MOST_SYMBOLS], *more]) or "none"


def _layers(found: Measurement, ratio: Ratios | None) -> None:
    numbers = ("layer", "MACs", "instructions", "cycles", "cycles/MAC")
    changes = ("new/old",) if ratio is not None else ()
    names = ("layer", "operator", "kernel", "MACs", "instructions", "cycles", "cycles/MAC", *changes, "from")
    rows = Rows(*names, right=(*numbers, *changes), optional=("kernel", "MACs"), names=True)
    for i, layer in enumerate(found.layers):
        change = [_times(_change(ratio.layers[i]))] if ratio is not None else []
        rows.add_row(
            str(layer.index), layer.op, layer.kernel, f"{layer.macs:,}", f"{layer.instructions:,}",
            _count(layer.cycles), _per_mac(layer.cycles, layer.macs), *change, layer.origin,
        )  # fmt: skip
    rows.show()


def _change(layer: Mapping[str, float | None]) -> float | None:
    """Of cycles where they are modelled, else of instructions."""
    return layer["cycles"] if layer["cycles"] is not None else layer["instructions"]


def _speed(found: Measurement) -> None:
    speed = f"{found.instructions:,} instructions"
    if found.cycles is None:
        console.print(f"speed   {speed}; {found.model}", markup=False)
        return
    waits = f" with {found.wait_states} wait states" if found.wait_states else ""
    speed += f", {found.cycles:,} model cycles{waits}"
    if found.cycles_per_mac is not None:
        speed += f", {found.cycles_per_mac:.2f} cycles/MAC"
    if found.milliseconds is not None and found.clock_hz is not None:
        speed += f", {found.milliseconds:.2f} ms at {found.clock_hz / 1e6:g} MHz"
    console.print(f"speed   {speed}", markup=False)
    if found.unaligned_cycles:
        console.print(f"        and {found.unaligned_cycles:,} cycles of unaligned accesses beside them")
    console.print(f"model   {found.model}", markup=False)


def _stack(found: Measurement) -> str:
    path = " > ".join(f"{name} {size:,}" for name, size in found.stack_path)
    return f"{found.stack_bytes:,} of stack at worst: {path}"


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _per_mac(cycles: int | None, macs: int) -> str:
    return f"{cycles / macs:.2f}" if cycles is not None and macs else "-"


def _times(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
