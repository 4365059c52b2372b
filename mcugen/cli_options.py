"""Arguments and options that several commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from mcugen.convert.recognise import PYTHON_VARIABLE

ModelArgument = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL",
        help="The trained network: .onnx or .tflite; .keras, .h5, a SavedModel folder or .pt2, which your own "
        "TensorFlow or PyTorch converts.",
        show_default=False,
    ),
]


def _choose_converter(python: str | None) -> str | None:
    """For this process and those it starts."""
    if python:
        os.environ[PYTHON_VARIABLE] = python
    return python


ConverterOption = Annotated[
    str | None,
    typer.Option(
        "--converter-python",
        metavar="PYTHON",
        envvar=PYTHON_VARIABLE,
        callback=_choose_converter,
        help="The Python that has TensorFlow or PyTorch, to convert their files; by default this one or that in PATH.",
    ),
]
FolderArgument = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="A folder that `mcugen build` wrote.", show_default=False)
]
SignatureOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Which signature of a .tflite or SavedModel with several, e.g. serving_default."
    ),
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
OptimizeOption = Annotated[
    str | None,
    typer.Option(
        "--optimize",
        metavar="AIM",
        help="What kernels are chosen for: speed, size, ram, or balanced (the default): docs/optimize.md",
    ),
]
ExplainOption = Annotated[
    bool,
    typer.Option(
        "--explain", help="Also every layer's kernels with cycles, bytes and scratch, and why one won."
    ),
]
OutOption = Annotated[
    Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where the folder NAME is written.")
]
NameOption = Annotated[
    str | None,
    typer.Option(
        "--name",
        "-n",
        metavar="NAME",
        help="The library's name, for its folder, files and C functions; by default the model file's.",
    ),
]
CalibrationOption = Annotated[
    str | None,
    typer.Option(
        metavar="METHOD",
        help="How samples become ranges: minmax (the default), percentile, or mse (least squared error).",
    ),
]
PercentileOption = Annotated[
    float | None,
    typer.Option(
        metavar="P",
        help="Calibrate by the P-th percentile of all values (50 < P <= 100; 99.99 if only the method is named).",
    ),
]
RangeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--range",
        metavar="NAME=LO:HI",
        help="The range of a tensor by hand, in place of the calibrated one; may be repeated.",
    ),
]
RefineOption = Annotated[
    bool | None,
    typer.Option(
        "--refine/--no-refine",
        help="Try cross-layer equalization and bias correction; each is kept if samples held back say so.",
    ),
]
DebugLayersOption = Annotated[
    bool,
    typer.Option("--debug-layers", help="Keep every layer's output in the arena, for a debugger: more RAM."),
]
VerboseOption = Annotated[
    bool,
    typer.Option("--verbose", "-v", help="Also print the ranges of all tensors, and what they clip."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print only JSON on stdout; errors go to stderr.")]
