"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ModelArgument = Annotated[
    Path,
    typer.Argument(metavar="MODEL", help="The trained network: float .onnx, or .tflite.", show_default=False),
]
FolderArgument = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="A folder that `mcugen build` wrote.", show_default=False)
]
SignatureOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Which signature of a .tflite with several, e.g. serving_default."),
]
BoardOption = Annotated[
    str,
    typer.Option(
        "--board", "-b", metavar="BOARD", help="A name from `mcugen boards`, or a .toml file of yours."
    ),
]
CalibOption = Annotated[
    str | None,
    typer.Option(
        metavar="DATA",
        help="Samples of real input: .npz (arrays by input name), .npy, a folder of them, or module:function "
        "(a generator of samples). Also: `random` for a first try; the .json of an earlier build, for its ranges.",
    ),
]
QuantizeOption = Annotated[
    str | None,
    typer.Option(
        "--quantize",
        "-q",
        metavar="RECIPE",
        help="int8 (default), int16x8, int8-float-fallback, dynamic-range, float16, float32: docs/quantization.md",
    ),
]
IoOption = Annotated[
    str | None,
    typer.Option(
        "--io",
        metavar="TYPE",
        help="Elements of inputs and outputs: int8, uint8, int16 or float; by default the recipe's, or the file's own.",
    ),
]
FloatOption = Annotated[
    list[str] | None,
    typer.Option(
        "--float",
        metavar="LAYER",
        help="A layer (name, operator or pattern with *) that computes real numbers, for a recipe with fallback. "
        "Repeatable.",
    ),
]
RecipeOption = Annotated[
    Path | None,
    typer.Option(
        "--recipe",
        metavar="FILE",
        help="A .toml file of such options, and of types and calibration of single layers.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print only JSON on stdout; errors go to stderr.")]
