"""Tables and lines on the terminal, drawn by rich."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from mcugen.boards import Board, format_size
from mcugen.tools import ToolStatus

if TYPE_CHECKING:  # lists and help need no compiler
    from mcugen.pipeline import Build
    from mcugen.verify import LayerReport, Report

console = Console(highlight=False, soft_wrap=True)
_MISSING = "missing"
_LEAST_LAST = 18  # characters of a last column that is shown at all
_MOST_NAME = 56
errors = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)


def finite(value: Any) -> Any:
    """Plain data without infinities or NaN, which JSON does not know."""
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Rows:
    """A table whose last column wraps on a terminal, or is shortened if it holds `names`. Columns in `optional`
    give way, in that order, where the terminal is narrow: what is left out stands in the JSON. Columns in `wraps`
    wrap between words, too."""

    def __init__(
        self,
        *columns: str,
        right: Sequence[str] = (),
        optional: Sequence[str] = (),
        wraps: Sequence[str] = (),
        names: bool = False,
    ) -> None:
        self.columns = columns
        self.names = names
        self.right = right
        self.optional = optional
        self.wraps = wraps
        self.rows: list[tuple[str, ...]] = []

    def add_row(self, *cells: str) -> None:
        """Cells are plain text."""
        self.rows.append(cells)

    def _widths(self) -> list[int]:
        """Characters of the columns; of those that wrap, of the longest word."""
        cells = zip(self.columns, *self.rows, strict=True)
        return [
            max(
                len(part) for cell in column for part in (cell.split() if column[0] in self.wraps else [cell])
            )
            for column in cells
        ]

    def _fitting(self, width: int) -> list[int]:
        """Which columns fit, the last one with at least _LEAST_LAST characters."""
        widths = self._widths()
        shown = list(range(len(self.columns)))
        for name in self.optional:
            needed = sum(widths[i] + 2 for i in shown[:-1]) + min(widths[shown[-1]], _LEAST_LAST)
            if needed > width:
                shown.remove(self.columns.index(name))
        return shown

    def _table(self, shown: Sequence[int], width: int) -> Table:
        room = width - sum(self._widths()[i] + 2 for i in shown[:-1])
        table = Table(box=None, pad_edge=False, header_style="bold")
        for i in shown:
            justify: JustifyMethod = "right" if self.columns[i] in self.right else "left"
            wraps = i == shown[-1] or self.columns[i] in self.wraps
            least = self._widths()[i] if self.columns[i] in self.wraps else None
            table.add_column(
                self.columns[i], justify=justify, no_wrap=not wraps, overflow="fold", min_width=least
            )
        for row in self.rows:
            cells = [row[i] for i in shown]
            if self.names:
                cells[-1] = _short(cells[-1], min(room, _MOST_NAME))
            table.add_row(*map(Text, cells), style="bold red" if _MISSING in row else None)
        return table

    def show(self) -> None:
        """On a terminal as wide as that; in a pipe one line a row, whole and without blanks at its end."""
        if console.is_terminal:
            terminal = Console(highlight=False)
            shown = self._fitting(terminal.width)
            # a terminal too narrow for anything wraps the lines: rather that than numbers cut short
            terminal.width = max(terminal.width, sum(self._widths()[i] + 2 for i in shown[:-1]) + _LEAST_LAST)
            terminal.print(self._table(shown, terminal.width))
            return
        wide = Console(highlight=False, width=10_000)
        with wide.capture() as captured:
            wide.print(self._table(range(len(self.columns)), wide.width))
        for line in captured.get().splitlines():
            print(line.rstrip())


def _short(name: str, most: int) -> str:
    """A name that does not push a table off the screen; exporters write names of hundreds of characters."""
    if len(name) <= most:
        return name
    head = (most - 3) // 2
    return f"{name[:head]}...{name[len(name) - (most - 3 - head) :]}"


def _ports(manifest: dict[str, Any]) -> None:
    for kind in ("inputs", "outputs"):
        for port in manifest[kind]:
            console.print(
                f"{kind[:-1]:7} {port['name']}: {port['dtype']} {port['shape']}, {port['bytes']:,} bytes{_real(port)}",
                markup=False,
            )


def _real(port: dict[str, Any]) -> str:
    """How integers stand for real numbers, where that is known."""
    if port["scale"] is None:
        return ""
    zero = port["zero_point"]
    shifted = f"(q {'-' if zero > 0 else '+'} {abs(zero)})" if zero else "q"
    return f", real = {port['scale']:.9g} * {shifted}"


def _layers(manifest: dict[str, Any]) -> None:
    numbers = ("MACs", "weights", "output", "at")
    table = Rows(
        "layer",
        "operator",
        "kernel",
        *numbers,
        "from",
        right=("layer", *numbers),
        optional=("from", "operator"),
        names=True,
    )
    for layer in manifest["layers"]:
        output = layer["output"]
        table.add_row(
            str(layer["index"]),
            layer["op"],
            layer["kernel"],
            f"{layer['macs']:,}",
            f"{layer['weight_bytes']:,}",
            "x".join(str(d) for d in output["shape"]),
            f"{output['offset']:,}",
            layer["origin"],
        )
    table.show()


def _memory(manifest: dict[str, Any]) -> None:
    memory = manifest["memory"]
    proof = (
        "proved least"
        if memory["arena"] <= memory["arena_lower_bound"]
        else f"bound {memory['arena_lower_bound']:,}"
    )
    arena = f"{memory['arena']:,} bytes of activations (rw; {proof}; input and output included)"
    weights = f"{memory['weights']:,} bytes of weights, biases and tables (ro)"
    if "needs" in manifest:
        total = manifest["needs"]
        arena += f" + at most {memory['stack_at_most']:,} of stack = {total['ram']:,}"
        weights += f" + at most {memory['code_at_most']:,} of code = {total['flash']:,}"
    console.print(f"RAM     {arena}")
    console.print(f"flash   {weights}")
    if manifest["int8_bytes"]:
        ratio = manifest["float_bytes"] / manifest["int8_bytes"]
        console.print(
            f"weights {manifest['float_bytes']:,} bytes as float32, {manifest['int8_bytes']:,} as built: "
            f"{ratio:.2f} times smaller"
        )
    console.print(f"MACs    {manifest['macs']:,}")


def warn_random() -> None:
    """The warning of `--calib random`, on stderr, so that it is seen in pipes, too."""
    errors.print(
        "Calibrated with random numbers: sizes and speed are real, the answers are not. "
        "Build with real samples (--calib data.npz) before you use it.",
        style="bold red",
    )


def _ranges(manifest: dict[str, Any]) -> None:
    """Every activation's range and what it clips."""
    numbers = ("observed from", "to", "range from", "to ", "clipped")
    table = Rows("range", *numbers, "tensor", right=numbers, names=True)
    for name, entry in manifest["calibration"]["tensors"].items():
        seen = [f"{bound:.5g}" for bound in entry["observed"] or ()] or ["-", "-"]
        used = [f"{bound:.5g}" for bound in entry["used"]]
        clipped = "-" if entry["clipped"] is None else f"{100 * entry['clipped']:.3f} %"
        table.add_row(entry["origin"], *seen, *used, clipped, name)
    table.show()


def _refinements(manifest: dict[str, Any]) -> None:
    """What was tried on samples held back."""
    for trial in manifest.get("refinements", ()):
        if trial["tried"]:
            before, after = ("-" if x is None else f"{x:.1f}" for x in (trial["before"], trial["after"]))
            verdict = "kept" if trial["kept"] else "not kept"
            console.print(f"refine  {trial['name']}: {before} -> {after} dB, {verdict}", markup=False)


def print_build(built: Build, verbose: bool = False) -> None:
    """What `mcugen build` says at the end; `verbose`: with a table of ranges."""
    manifest = built.manifest
    for note in manifest["notes"]:
        console.print(f"note: {note}", markup=False)
    _ports(manifest)
    _layers(manifest)
    if verbose and "calibration" in manifest:
        _ranges(manifest)
    _refinements(manifest)
    _memory(manifest)
    console.print(f"wrote   {built.path}/ for {manifest['target']['board']}", markup=False)
    console.print(f"next    mcugen verify {shlex.quote(str(built.path))}", markup=False)


def print_analysis(result: dict[str, Any]) -> None:
    """What `mcugen analyze` says."""
    for note in result["notes"]:
        console.print(f"note: {note}", markup=False)
    _ports(result)
    _layers(result)
    _memory(result)
    memory, total = result["board_memory"], result["needs"]
    board = result["target"]["board"]
    if memory is None:
        console.print(
            f"fit     {board} is a generic core without memory limits: name a real board to judge it"
        )
        return
    parts = [
        f"{total[kind]:,} of {memory[kind]:,} bytes of {word} ({100 * total[kind] / memory[kind]:.0f} %)"
        for kind, word in (("ram", "RAM"), ("flash", "flash"))
        if memory[kind]
    ]
    console.print(f"fit     {'yes' if result['fits'] else 'no'}, {board}: {', '.join(parts)}", markup=False)


def print_compared(layers: Sequence[LayerReport]) -> None:
    """Layers of the C beside the reference and the float model."""
    numbers = ("compared", "different", "SQNR dB")
    table = Rows("layer", "operator", *numbers, "output", right=("layer", *numbers), names=True)
    for layer in layers:
        ratio_text = "-" if layer.sqnr is None else f"{layer.sqnr:.1f}"
        table.add_row(
            str(layer.index),
            layer.op,
            f"{layer.compared:,}",
            f"{layer.different:,}",
            ratio_text,
            layer.name,
        )
    table.show()


def print_verdict(ok: bool) -> None:
    """Whether C and reference are equal."""
    verdict = "[bold green]equal, byte for byte[/]" if ok else "[bold red]DIFFERENT[/]"
    console.print(f"verdict {verdict}")


def print_verify(report: Report) -> None:
    """What `mcugen verify` says."""
    for note in report.notes:
        console.print(f"note: {note}", markup=False)
    print_compared(report.layers)
    console.print(f"vectors {report.vectors:,}: {report.source}", markup=False)
    layer_bytes = sum(layer.compared for layer in report.layers)
    wrong = sum(layer.different for layer in report.layers)
    console.print(
        f"host    {report.output_different:,} of {report.output_bytes:,} output bytes differ, "
        f"{wrong:,} of {layer_bytes:,} in all layers"
    )
    o = report.original
    if o is not None:
        console.print(
            f"model   {o.different:,} of {o.compared:,} bytes differ from the file's own tensors, in {o.layers} "
            f"layers; channels not computed: {o.constant:,} constant (compared), {o.dead:,} that nothing reads"
        )
    f = report.float_report
    if f is not None:
        agreement = f"same class in {100 * f.agreement:.2f} %, " if f.agreement is not None else ""
        noise = "the outputs are indices" if f.sqnr is None else f"output SQNR {f.sqnr:.1f} dB"
        console.print(f"float   {agreement}{noise}")
    if report.accuracy is not None:
        beside = (
            f", of the float model {100 * f.float_accuracy:.2f} %"
            if f and f.float_accuracy is not None
            else ""
        )
        console.print(f"labels  top-1 of the C {100 * report.accuracy:.2f} %{beside}")
    if report.emulation is not None:
        e = report.emulation
        console.print(
            f"board   {e.machine}: {e.wrong_bytes:,} output bytes differ, {len(e.wrong_layers)} layers differ "
            f"on {report.emulated_vectors} vectors; {max(e.instructions):,} instructions per inference, "
            f"{e.stack_bytes:,} bytes of stack"
        )
    print_verdict(report.ok)


def print_boards(found: Sequence[Board]) -> None:
    """The list of `mcugen boards`; what a board's own words are, below it."""
    table = Rows("board", "core", "RAM", "flash", "emulated on", "what", right=("RAM", "flash"))
    for board in found:
        ram, flash = board.total("ram"), board.total("flash")
        table.add_row(
            board.name,
            board.cpu,
            format_size(ram) if ram else "-",
            format_size(flash) if flash else "-",
            next(iter(board.machines), "-"),
            board.description,
        )
    table.show()
    console.print()
    for board in found:
        if board.note:
            console.print(f"{board.name}: {board.note}", markup=False)
    console.print("Boards without memories are generic: whether a network fits is not judged for them.")


def print_ops(table: dict[str, Any]) -> None:
    """The list of `mcugen ops`."""
    rows = Rows("operator", "kernels", "ONNX operators", wraps=["kernels"])
    for row in table["operators"]:
        names = ", ".join(row["onnx"]) or "-"
        rows.add_row(row["operator"], ", ".join(row["kernels"]) or row["note"] or "folded away", names)
    rows.show()
    console.print()
    text = "In constant parts of a model also: " + ", ".join(table["constant"])
    Console(highlight=False, soft_wrap=not console.is_terminal).print(text, markup=False)


def print_doctor(found: Sequence[ToolStatus]) -> None:
    """The list of `mcugen doctor`, and one line that gets all that is missing."""
    table = Rows("tool", "version", "needed for")
    for status in found:
        table.add_row(status.name, status.version or _MISSING, status.needed_for)
    table.show()
    missing = [status for status in found if not status.version]
    console.print()
    for status in missing:
        console.print(f"{status.name} is missing: {status.install}", markup=False)
    if not missing:
        console.print("Nothing is missing.")
