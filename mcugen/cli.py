"""The command line: arguments in, exit code out. No logic: see pipeline.py, verify.py, report/."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress as RichProgress
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

from mcugen import __version__
from mcugen.errors import McugenError, VerifyError

app = typer.Typer(
    name="mcugen",
    help="Compile a trained neural network into a standalone C99 library for microcontrollers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
errors = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)

BoardOption = Annotated[
    str, typer.Option("--board", "-b", help="a name from `mcugen boards` or a .toml file")
]
CalibOption = Annotated[
    str | None,
    typer.Option(help=".npz, .npy, folder, module:function, ranges .json of an earlier build, or `random`"),
]
NameOption = Annotated[str | None, typer.Option("--name", "-n", help="name of the library and of its folder")]
JsonOption = Annotated[bool, typer.Option("--json", help="print only JSON on stdout")]
PercentileOption = Annotated[
    float | None,
    typer.Option(help="calibrate by this percentile of all values, e.g. 99.99, instead of min-max"),
]


def _progress() -> tuple[RichProgress, Callable[[Iterable[Any], str], Iterator[Any]]]:
    bar = RichProgress(
        SpinnerColumn(),
        TextColumn("{task.description} {task.completed} chunks"),
        TimeElapsedColumn(),
        console=errors,
        transient=True,
        disable=not sys.stderr.isatty(),
    )

    def track(chunks: Iterable[Any], title: str) -> Iterator[Any]:
        task = bar.add_task(title, total=None)
        for chunk in chunks:
            yield chunk
            bar.advance(task)

    return bar, track


def _stored_command(
    model: Path, board: str, calib: str | None, name: str | None, percentile: float | None
) -> str:
    """The command that makes the library again, with base names only, so that equal input gives equal bytes."""
    words = ["mcugen", "build", model.name, "--board", Path(board).name]
    if calib is not None:
        words += ["--calib", Path(calib).name if Path(calib).exists() else calib]
    if percentile is not None:
        words += ["--percentile", repr(percentile)]
    if name is not None:
        words += ["--name", name]
    return shlex.join(words)


@app.command()
def build(
    model: Annotated[Path, typer.Argument(help="the trained float network, .onnx")],
    board: BoardOption = "cortex-m4",
    calib: CalibOption = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="the folder NAME is written into this one")] = Path(
        "out"
    ),
    name: NameOption = None,
    percentile: PercentileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compile MODEL into the folder OUT/NAME: C99 sources, manifest, the integer graph for `verify`."""
    from mcugen import pipeline
    from mcugen.report import text

    bar, track = _progress()
    with bar:
        built = pipeline.build(
            model,
            calib=calib,
            board=board,
            out=out,
            name=name,
            percentile=percentile,
            progress=track,
            command=_stored_command(model, board, calib, name, percentile),
        )
    if as_json:
        print(json.dumps(built.manifest, indent=1))
    else:
        text.print_build(built, calib == "random")


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(help="a folder that `mcugen build` wrote")],
    data: Annotated[
        str | None, typer.Option(help="test data in the forms of --calib; `y` or `labels` holds labels")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="the float model: agreement, SQNR per layer")] = None,
    emulate: Annotated[
        bool, typer.Option("--emulate", help="also run as firmware on the emulated board")
    ] = False,
    board: Annotated[
        str | None, typer.Option("--board", "-b", help="for --emulate; default: the library's own")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Prove that the C in FOLDER computes what the integer reference computes, byte by byte, every layer."""
    from dataclasses import asdict

    from mcugen.report import text
    from mcugen.verify import verify as run

    bar, track = _progress()
    with bar:
        for _ in track(range(1), "verifying"):
            report = run(folder, data=data, model=model, on_board=emulate, board=board)
    if as_json:
        print(json.dumps({"ok": report.ok, **text.finite(asdict(report))}, indent=1))
    else:
        text.print_verify(report)
    if not report.ok:
        raise VerifyError(f"{report.name}: the C differs from the integer reference")


@app.command()
def analyze(
    model: Annotated[Path, typer.Argument(help="the trained float network, .onnx")],
    board: BoardOption = "cortex-m4",
    as_json: JsonOption = False,
) -> None:
    """Layers, MACs, weights, arena and fit of MODEL, without writing code; all that is unsupported at once."""
    from mcugen.report import analysis, text

    result = analysis.analyze(model, board)
    if as_json:
        print(json.dumps(result, indent=1))
    else:
        text.print_analysis(result)


@app.command()
def boards(as_json: JsonOption = False) -> None:
    """What code can be made for."""
    from mcugen.boards import list_boards
    from mcugen.report import text

    if as_json:
        print(json.dumps([b.model_dump(mode="json") for b in list_boards()], indent=1))
    else:
        text.print_boards(list_boards())


@app.command()
def ops(as_json: JsonOption = False) -> None:
    """What is supported: operators, their ONNX names and their kernels."""
    from mcugen.report import text
    from mcugen.report.operators import operator_table

    table = operator_table()
    if as_json:
        print(json.dumps(table, indent=1))
    else:
        text.print_ops(table)


@app.command()
def doctor(as_json: JsonOption = False) -> None:
    """Which tools are there, which are missing, and how to get them."""
    from dataclasses import asdict

    from mcugen.report import text
    from mcugen.tools import doctor as examine

    found = examine()
    if as_json:
        print(json.dumps([asdict(status) for status in found], indent=1))
    else:
        text.print_doctor(found)


def _version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    del version


def main() -> None:
    """Run the command line; a user's mistake is one clear message and its exit code, never a traceback."""
    try:
        app()
    except McugenError as error:
        errors.print(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
