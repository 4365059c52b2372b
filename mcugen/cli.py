"""The command line: arguments in, exit code out. No logic: see pipeline.py, verify.py, evaluation.py, report/."""

from __future__ import annotations

import errno
import io
import json
import os
import shlex
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from mcugen import __version__
from mcugen.cli_options import (
    BoardOption,
    CalibOption,
    CalibrationOption,
    ConverterOption,
    DebugLayersOption,
    ExplainOption,
    FloatOption,
    FolderArgument,
    IoOption,
    JsonOption,
    ModelArgument,
    NameOption,
    OptimizeOption,
    OutOption,
    PercentileOption,
    QuantizeOption,
    RangeOption,
    RecipeOption,
    RefineOption,
    SignatureOption,
    VerboseOption,
)
from mcugen.errors import McugenError
from mcugen.report.bar import progress_bar

EXIT_CODES = """\b
Exit codes: 0 fine; 1 internal error; 2 usage, data; 3 unreadable or invalid model;
4 unsupported operators; 5 does not fit the board; 6 verification failed;
7 a tool is missing."""

app = typer.Typer(
    name="mcugen",
    help="Compile a trained neural network (float ONNX) into a standalone C99 int8 library for microcontrollers.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _base_name(text: str) -> str:
    """A path's last part; anything that is no path as it is."""
    return Path(text).resolve().name if Path(text).exists() else text


def _stored_command(model: Path, board: str, **options: str | float | bool | Path | list[str] | None) -> str:
    """The command that makes the library again, with base names only, so that equal input gives equal bytes."""
    words = ["mcugen", "build", model.name, "--board", _base_name(board)]
    for name, value in options.items():
        if value is None or value is False:
            continue
        for one in value if isinstance(value, list) else [value]:
            words.append(f"--{name.replace('_', '-')}")
            if one is not True:
                words.append(_base_name(str(one)) if name in ("calib", "recipe") else str(one))
    return shlex.join(words)


@app.command(
    epilog="""\b
Examples:
  mcugen build kws.onnx --board nucleo-f446re --calib kws_calib.npz -o out/
  mcugen build kws.onnx --calib data:representative_dataset --percentile 99.99
  mcugen build kws.onnx --calib kws_calib.npz --range input=-1:1 -v
  mcugen build kws_int8.tflite                # quantized already: its own integers
  mcugen build kws.keras --calib kws_calib.npz --converter-python tf/bin/python
  mcugen build kws.onnx --calib random        # sizes are real, answers are not"""
)
def build(
    model: ModelArgument,
    board: BoardOption = "cortex-m4",
    calib: CalibOption = None,
    out: OutOption = Path("out"),
    name: NameOption = None,
    calibration: CalibrationOption = None,
    percentile: PercentileOption = None,
    ranges: RangeOption = None,
    refine: RefineOption = None,
    signature: SignatureOption = None,
    quantize: QuantizeOption = None,
    io: IoOption = None,
    in_float: FloatOption = None,
    recipe: RecipeOption = None,
    optimize: OptimizeOption = None,
    debug_layers: DebugLayersOption = False,
    verbose: VerboseOption = False,
    converter_python: ConverterOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compile MODEL into the folder FOLDER/NAME: C99 sources, manifest, and the integer graph for `verify`.

    A library that mcugen wrote there before is replaced, anything else is left alone.
    """
    del converter_python  # it is in the environment
    from mcugen import pipeline
    from mcugen.calibrate.by_hand import parse_ranges
    from mcugen.report import text

    options: dict[str, Any] = {
        "calib": calib,
        "calibration": calibration,
        "percentile": percentile,
        "signature": signature,
        "quantize": quantize,
        "io": io,
        "recipe": recipe,
        "optimize": optimize,
        "name": name,
        "debug_layers": debug_layers,
    }
    command = _stored_command(
        model, board, **options, float=in_float, range=ranges, no_refine=refine is False
    )
    by_hand = parse_ranges(ranges or [])
    bar, track = progress_bar()
    with bar:
        built = pipeline.build(
            model,
            board=board,
            out=out,
            ranges=by_hand,
            refine=refine,
            in_float=in_float or (),
            progress=track,
            command=command,
            **options,
        )
    if as_json:
        print(json.dumps(built.manifest, indent=1))
    else:
        text.print_build(built, verbose)
    if calib == "random":
        sys.stdout.flush()
        text.warn_random()


@app.command(
    epilog="""\b
Examples:
  mcugen verify out/kws                       # random vectors, on this computer
  mcugen verify out/kws --data kws_test.npz --model kws.onnx
  mcugen verify out/kws --emulate             # also as firmware in the emulator"""
)
def verify(
    folder: FolderArgument,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="Test samples, in the forms of `build --calib`; an array `y` or `labels` holds class numbers. "
            "By default seeded random vectors.",
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL",
            help="The model file. Float: agreement of the answers, SQNR of every layer; quantized: every layer equals "
            "the file's own tensors.",
        ),
    ] = None,
    emulate: Annotated[
        bool, typer.Option("--emulate", help="Also run firmware on the emulated board; counts instructions.")
    ] = False,
    board: Annotated[
        str | None,
        typer.Option(
            "--board", "-b", metavar="BOARD", help="Board for --emulate; by default the one it was built for."
        ),
    ] = None,
    converter_python: ConverterOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prove that the C in FOLDER computes what the integer reference computes: every byte of every layer."""
    del converter_python  # it is in the environment
    from dataclasses import asdict

    from mcugen.report import text
    from mcugen.verify import verify as run

    bar, track = progress_bar()
    with bar:
        report = run(folder, data=data, model=model, on_board=emulate, board=board, progress=track)
    if as_json:
        print(json.dumps({"ok": report.ok, **text.finite(asdict(report))}, indent=1))
    else:
        text.print_verify(report)
    report.check()


@app.command(
    epilog="""\b
Examples:
  mcugen evaluate out/kws --data kws_test.npz --model kws.onnx
  mcugen evaluate out/kws --data kws_test.npz --metric scores:f1      # your f1 in scores.py
  mcugen evaluate out/ad --data clips.npz --metric reconstruction-auc # an autoencoder"""
)
def evaluate(
    folder: FolderArgument,
    data: Annotated[
        list[str],
        typer.Option(
            metavar="DATA",
            help="Test samples, in the forms of `build --calib`, with labels as array `y` or `labels`: class numbers, "
            "0 or 1, or target values. Given several times: parts, each read only where it is evaluated.",
            show_default=False,
        ),
    ],
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL", help="The float model file, to score it, too, and for the SQNR by layer."
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METRIC",
            help="Beside the standard metrics: reconstruction-auc, or module:function, a function of yours (outputs, "
            "labels, inputs) that gives a number or a dict of numbers. Can be repeated.",
        ),
    ] = None,
    no_reference: Annotated[
        bool,
        typer.Option(
            "--no-reference",
            help="Leave out the integer reference and the layers. By default they run on 1,000 samples.",
        ),
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", metavar="N", help="Processes; by default one for each processor."),
    ] = None,
    converter_python: ConverterOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score the library in FOLDER on labelled data: float model, integer reference and C side by side.

    Top-1, top-5, AUC, confusion matrix, or MSE and MAE, whichever the labels are for; agreement and SQNR with --model.
    Exit code 6 if C and reference differ in a byte.
    """
    del converter_python  # it is in the environment
    from dataclasses import asdict

    from mcugen.evaluation import REFERENCE_SAMPLES
    from mcugen.evaluation import evaluate as run
    from mcugen.report import text
    from mcugen.report.evaluation import print_evaluation

    bar, track = progress_bar()
    with bar:
        found = run(
            folder,
            data=data[0] if len(data) == 1 else data,
            model=model,
            metrics=metric or (),
            reference=0 if no_reference else REFERENCE_SAMPLES,
            jobs=jobs,
            progress=track,
        )
    if as_json:
        print(json.dumps({"ok": found.ok, **text.finite(asdict(found))}, indent=1))
    else:
        print_evaluation(found)
    found.check()


@app.command(
    epilog="""\b
Examples:
  mcugen analyze kws.onnx --board nucleo-f446re
  mcugen analyze kws.onnx --optimize size --explain
  mcugen analyze kws.onnx --json | jq .needs"""
)
def analyze(
    model: ModelArgument,
    board: BoardOption = "cortex-m4",
    calib: CalibOption = None,
    signature: SignatureOption = None,
    quantize: QuantizeOption = None,
    io: IoOption = None,
    in_float: FloatOption = None,
    recipe: RecipeOption = None,
    converter_python: ConverterOption = None,
    optimize: OptimizeOption = None,
    explain: ExplainOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say what MODEL would cost, without writing code: layers, MACs, weights, arena, and whether it fits.

    Everything that is unsupported is listed at once (exit code 4); exit code 5 if it does not fit the board.
    """
    del converter_python  # it is in the environment
    from mcugen.report import analysis, text
    from mcugen.report.explain import print_explained

    bar, track = progress_bar()
    with bar:
        result = analysis.analyze(
            model,
            board,
            calib,
            track,
            signature,
            quantize,
            io,
            in_float or (),
            recipe,
            optimize,
            explain,
        )
    if as_json:
        print(json.dumps(result, indent=1))
    else:
        text.print_analysis(result)
        if explain:
            print_explained(result)
    analysis.check(result)


@app.command()
def boards(as_json: JsonOption = False) -> None:
    """List the boards and cores that code can be made for."""
    from mcugen.boards import list_boards
    from mcugen.report import text

    if as_json:
        print(json.dumps([b.model_dump(mode="json") for b in list_boards()], indent=1))
    else:
        text.print_boards(list_boards())


@app.command()
def ops(as_json: JsonOption = False) -> None:
    """List the supported operators, their ONNX names and their kernels."""
    from mcugen.report import text
    from mcugen.report.operators import operator_table

    table = operator_table()
    if as_json:
        print(json.dumps(table, indent=1))
    else:
        text.print_ops(table)


@app.command()
def doctor(as_json: JsonOption = False) -> None:
    """Say which tools are there, which are missing, for what, and how to get them."""
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
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version


# Of the machine, not of the program: no space or quota, no rights, a read-only or broken disk, no memory.
_ENVIRONMENT = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ENOMEM}


def _run() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of layers are shown on every terminal
            stream.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="mcugen")
    finally:
        sys.stdout.flush()


def _discard_stdout() -> None:
    """What Python still holds for a stdout that takes no more has nowhere to go."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main() -> None:
    """Run the command line; a user's mistake is one clear message and its exit code, never a traceback."""
    try:
        _run()
    except McugenError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # the reader is gone: `| head`
        _discard_stdout()
        sys.exit(1)
    except (OSError, MemoryError) as error:
        if isinstance(error, OSError) and error.errno not in _ENVIRONMENT:
            _report_bug()
        where = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
        why = error.strerror if isinstance(error, OSError) else "not enough memory"
        print(f"{where}{why}", file=sys.stderr)
        if isinstance(error, OSError) and not error.filename:
            _discard_stdout()
        sys.exit(2)
    except Exception:
        _report_bug()


def _report_bug() -> NoReturn:
    traceback.print_exc()
    print("This is a bug of mcugen: please report it with the command and these lines.", file=sys.stderr)
    sys.exit(1)
