"""What `mcugen evaluate` prints: columns side by side, a confusion matrix, layers, and whether the bytes are equal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcugen.report.text import Rows, console, print_compared, print_verdict

if TYPE_CHECKING:
    from mcugen.evaluation import Evaluation

MOST_CLASSES = 20  # of a confusion matrix that can be read
_SHARES = ("top-1", "top-5", "agreement")


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    if name in _SHARES:
        return f"{100 * value:.2f} %"
    if name == "AUC":
        return f"{value:.4f}"
    return f"{value:.1f}" if name == "SQNR dB" else f"{value:.6g}"


def print_evaluation(found: Evaluation) -> None:
    """What `mcugen evaluate` says."""
    for note in found.notes:
        console.print(f"note: {note}", markup=False)
    table = Rows("metric", *found.columns, right=tuple(found.columns))
    table.add_row("samples", *(f"{column.samples:,}" for column in found.columns.values()))
    for name in dict.fromkeys(name for column in found.columns.values() for name in column.metrics):
        table.add_row(name, *(_cell(name, column.metrics.get(name)) for column in found.columns.values()))
    table.show()
    _print_confusion(found)
    reference = found.columns.get("reference")
    if any(layer.sqnr is not None for layer in found.layers):
        print_compared(found.layers)
    console.print(f"data    {found.source}", markup=False)
    if reference is None:
        console.print("bytes   not compared: the reference was left out")
        return
    wrong, total = (sum(getattr(layer, what) for layer in found.layers) for what in ("different", "compared"))
    some = "all" if reference.samples == found.samples else f"{reference.samples:,} of"
    console.print(
        f"bytes   {found.output_different:,} of {found.output_bytes:,} of the C's outputs differ from the reference, "
        f"{wrong:,} of {total:,} in all layers, on {some} {found.samples:,} samples"
    )
    print_verdict(found.ok)


def _print_confusion(found: Evaluation) -> None:
    table = found.columns["C"].confusion
    if table is None:
        return
    if len(table) > MOST_CLASSES:
        console.print(f"confusion matrix of {len(table)} classes: see --json")
        return
    names = [str(i) for i in range(len(table))]
    rows = Rows("label", *names, right=("label", *names))
    for name, row in zip(names, table, strict=True):
        rows.add_row(name, *(f"{count}" if count else "." for count in row))
    console.print("confusion matrix of the C: a row for each label, a column for each answer")
    rows.show()
