"""A keyword spotter on an emulated Cortex-M4: build it, run it on real clips, print what it heard.

`make demo` runs this. The same by hand, from this folder:

    mcugen build ../models/kws_float.onnx --board cortex-m4 --calib kws_calib.npz -o out
    mcugen verify out/kws_float --data kws_test.npz --model ../models/kws_float.onnx --emulate
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import mcugen
from mcugen.bench.firmware import measure_sizes
from mcugen.boards import load_board
from mcugen.errors import McugenError, VerifyError
from mcugen.verify import Report, verify

HERE = Path(__file__).resolve().parent
MODEL = HERE.parent / "models" / "kws_float.onnx"
CALIB = HERE / "kws_calib.npz"
TEST = HERE / "kws_test.npz"
OUT = HERE.parent.parent / "out"
BOARD = "cortex-m4"

console = Console(highlight=False)


def main(out: Path = OUT) -> int:
    """The exit code, as the command line's; the library is written into the folder `out`."""
    try:
        console.print(f"Building [bold]{MODEL.name}[/] for {BOARD}, calibrated with 100 clips ...")
        built = mcugen.build(MODEL, calib=CALIB, board=BOARD, out=out)
        print_sizes(built)
        console.print("Running it on the host and on the emulated Cortex-M4 ...")
        report = verify(built.path, data=TEST, model=MODEL, on_board=True)
        print_words(built, report.emulated_vectors)
        print_accuracy(report)
        print_verdict(report)
        console.print(f"\nThe library is in {built.path}, ready for your firmware.", soft_wrap=True)
        return 0 if report.ok else VerifyError.exit_code
    except McugenError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def print_sizes(built: mcugen.Build) -> None:
    """Bytes of flash and RAM that the library adds to firmware."""
    code, constants = measure_sizes(built.path, load_board(BOARD))
    memory = built.manifest["memory"]
    table = Table(title="Size in bytes", title_justify="left")
    table.add_column("what")
    table.add_column("bytes", justify="right")
    table.add_row("RAM: the arena, input and output included", f"{memory['arena']:,}")
    table.add_row("flash: code", f"{code:,}")
    table.add_row(f"flash: weights and tables (float: {built.manifest['float_bytes']:,})", f"{constants:,}")
    console.print(table)


def print_words(built: mcugen.Build, clips: int) -> None:
    """What was said in the clips that ran on the board, and what the library heard.

    The board's outputs were compared with these byte by byte; the verdict says how that went.
    """
    labels = (HERE / "labels.txt").read_text(encoding="utf-8").split()
    with np.load(TEST) as data:
        samples, spoken = data["input"][:clips], data["y"][:clips]
    scores = mcugen.HostLibrary(built.path).run_float(samples).reshape(clips, len(labels))
    table = Table(title="Words heard", title_justify="left")
    for column in ("clip", "spoken", "heard"):
        table.add_column(column)
    table.add_column("sure", justify="right")
    for clip, (word, score) in enumerate(zip(spoken, scores, strict=True)):
        heard = int(score.argmax())
        colour = "green" if heard == word else "red"
        table.add_row(str(clip), labels[word], f"[{colour}]{labels[heard]}[/]", f"{score[heard]:.0%}")
    console.print(table)


def print_accuracy(report: Report) -> None:
    """Float and C on the same clips, none of which was used to calibrate."""
    result = report.float_report
    assert result is not None and result.accuracy is not None and result.float_accuracy is not None
    console.print(
        f"Right words in {report.vectors} clips: float model {result.float_accuracy:.0%}, "
        f"int8 C {result.accuracy:.0%}; they agree on {result.agreement:.0%}."
    )


def print_verdict(report: Report) -> None:
    """Whether the C, on the host and on the board, is the integer reference in every byte."""
    board = report.emulation
    assert board is not None
    compared = sum(layer.compared for layer in report.layers)
    different = sum(layer.different for layer in report.layers)
    console.print(f"Host: {compared:,} bytes of all layers compared, {different:,} differ.")
    clips = report.emulated_vectors
    outputs = report.output_bytes // report.vectors * clips
    console.print(
        f"Emulated {BOARD} ({board.machine}): {outputs:,} output bytes of {clips} clips compared, "
        f"{board.wrong_bytes:,} differ; {len(report.layers) * clips:,} layer checksums compared, "
        f"{len(board.wrong_layers):,} differ.",
        soft_wrap=True,
    )
    console.print(f"One inference executes {max(board.instructions):,} instructions.")
    console.print("[bold green]equal, byte for byte[/]" if report.ok else "[bold red]NOT EQUAL[/]")


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
