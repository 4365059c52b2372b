"""Tables and lines on the terminal, drawn by rich."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mcugen.boards import Board
from mcugen.pipeline import Build, ratio
from mcugen.tools import ToolStatus
from mcugen.verify import Report

console = Console(highlight=False, soft_wrap=True)


def finite(value: Any) -> Any:
    """Plain data without infinities or NaN, which JSON does not know."""
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _table(*columns: str, right: Sequence[str] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", no_wrap=True)
    return table


def _show(table: Table) -> None:
    """Tables keep their full width when they are not printed on a terminal."""
    if console.is_terminal:
        console.print(table)
    else:
        Console(highlight=False, width=240).print(table)


def _short(name: str, most: int = 56) -> str:
    """A name that does not push a table off the screen; exporters write names of hundreds of characters."""
    return name if len(name) <= most else f"{name[: most // 2]}...{name[-most // 2 + 3 :]}"


def _ports(manifest: dict[str, Any]) -> None:
    for kind in ("inputs", "outputs"):
        for port in manifest[kind]:
            console.print(
                f"{kind[:-1]:7} {escape(port['name'])}: {port['dtype']} {escape(str(port['shape']))}, "
                f"real = {port['scale']:.9g} * (q - {port['zero_point']})"
            )


def _layers(manifest: dict[str, Any]) -> None:
    numbers = ("MACs", "weights", "output", "at")
    table = _table("layer", "operator", "kernel", *numbers, "from", right=("layer", *numbers))
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
            escape(_short(layer["origin"])),
        )
    _show(table)


def _memory(manifest: dict[str, Any]) -> None:
    memory = manifest["memory"]
    proof = (
        "proved least"
        if memory["arena"] <= memory["arena_lower_bound"]
        else f"bound {memory['arena_lower_bound']:,}"
    )
    console.print(f"arena   {memory['arena']:,} bytes of RAM ({proof}; input and output included)")
    console.print(f"flash   {memory['weights']:,} bytes of constants (weights, biases, tables)")
    shrunk = f"{ratio(manifest):.2f} times smaller" if manifest["int8_bytes"] else "none"
    console.print(
        f"weights {manifest['float_bytes']:,} bytes as float32, {manifest['int8_bytes']:,} as int8 and int32: {shrunk}"
    )
    console.print(f"MACs    {manifest['macs']:,}")


def print_build(built: Build, random: bool) -> None:
    """What `mcugen build` says at the end."""
    manifest = built.manifest
    for note in manifest["notes"]:
        console.print(f"note: {note}", markup=False)
    _ports(manifest)
    _layers(manifest)
    _memory(manifest)
    console.print(f"wrote   {built.path}/ for {manifest['target']['board']}", markup=False)
    console.print(f"next    mcugen verify {built.path}", markup=False)
    if random:
        console.print(
            "[bold red]Calibrated with random numbers: sizes and speed are real, the answers are not. "
            "Build with real samples (--calib data.npz) before you use it.[/]"
        )


def print_analysis(result: dict[str, Any]) -> None:
    """What `mcugen analyze` says."""
    for note in result["notes"]:
        console.print(f"note: {note}", markup=False)
    _layers(result)
    _memory(result)
    memory = result["board_memory"]
    board = result["target"]["board"]
    if memory is None:
        console.print(
            f"fit     {board} is a generic core without memory limits: name a real board to judge it"
        )
    elif result["fits"]:
        console.print(
            f"fit     yes: {board} has {memory['ram']:,} bytes of RAM, {memory['flash']:,} of flash"
        )
    for problem in result["problems"]:
        console.print(f"fit     no: {problem}", markup=False)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"


def print_verify(report: Report) -> None:
    """What `mcugen verify` says."""
    for note in report.notes:
        console.print(f"note: {note}", markup=False)
    numbers = ("compared", "different", "SQNR dB")
    table = _table("layer", "operator", *numbers, "output", right=("layer", *numbers))
    for layer in report.layers:
        ratio_text = "-" if layer.sqnr is None else f"{layer.sqnr:.1f}"
        table.add_row(
            str(layer.index),
            layer.op,
            f"{layer.compared:,}",
            f"{layer.different:,}",
            ratio_text,
            escape(_short(layer.name)),
        )
    _show(table)
    console.print(f"vectors {report.vectors:,}: {report.source}", markup=False)
    layer_bytes = sum(layer.compared for layer in report.layers)
    wrong = sum(layer.different for layer in report.layers)
    console.print(
        f"host    {report.output_different:,} of {report.output_bytes:,} output bytes differ, "
        f"{wrong:,} of {layer_bytes:,} in all layers"
    )
    if report.accuracy is not None:
        console.print(f"labels  top-1 of the C {_percent(report.accuracy)}")
    if report.float_report is not None:
        f = report.float_report
        console.print(
            f"float   agreement {_percent(f.agreement)}, output SQNR {f.sqnr:.1f} dB, "
            f"top-1 float {_percent(f.float_accuracy)}, C {_percent(f.accuracy)}"
        )
    if report.emulation is not None:
        e = report.emulation
        console.print(
            f"board   {e.machine}: {e.wrong_bytes:,} output bytes differ, {len(e.wrong_layers)} layers differ "
            f"on {report.emulated_vectors} vectors; {max(e.instructions):,} instructions per inference, "
            f"{e.stack_bytes:,} bytes of stack"
        )
    verdict = "[bold green]equal, byte for byte[/]" if report.ok else "[bold red]DIFFERENT[/]"
    console.print(f"verdict {verdict}")


def print_boards(found: Sequence[Board]) -> None:
    """The list of `mcugen boards`."""
    table = _table("board", "core", "RAM", "flash", "emulated on", "what", right=("RAM", "flash"))
    for board in found:
        ram, flash = board.total("ram"), board.total("flash")
        table.add_row(
            board.name,
            board.cpu,
            f"{ram:,}" if ram else "-",
            f"{flash:,}" if flash else "-",
            ", ".join(board.machines) or "-",
            escape(board.description + (f" ({board.note})" if board.note else "")),
        )
    _show(table)


def print_ops(table: dict[str, Any]) -> None:
    """The list of `mcugen ops`."""
    rows = _table("operator", "kernels", "ONNX operators")
    for row in table["operators"]:
        names = ", ".join(row["onnx"]) or "-"
        rows.add_row(row["operator"], ", ".join(row["kernels"]) or row["note"] or "folded away", names)
    _show(rows)
    console.print("in constant parts of a model also: " + ", ".join(table["constant"]), markup=False)


def print_doctor(found: Sequence[ToolStatus]) -> None:
    """The list of `mcugen doctor`."""
    table = _table("tool", "version", "needed for", "how to get it")
    for status in found:
        version = status.version or "[bold red]missing[/]"
        table.add_row(
            status.name, version, status.needed_for, "" if status.version else escape(status.install)
        )
    _show(table)
