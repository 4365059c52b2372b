"""`mcugen analyze`: what a model would cost on a board, without code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mcugen.boards import load_board
from mcugen.budget import STACK_BYTES
from mcugen.errors import Fault, FitError, UsageError
from mcugen.execute import run_samples
from mcugen.fit import check_fit, code_bytes, needs
from mcugen.ir import Graph
from mcugen.kernels.kernel import Tables
from mcugen.library import Library
from mcugen.manifest import describe
from mcugen.naming import c_name
from mcugen.normalise.annotations import annotated
from mcugen.pipeline import complete_ranges, final_graph, find_ranges, float_notes, lay_out, read, settle
from mcugen.progress import Progress, silent, stage
from mcugen.quantize.annotated import origin_notes, spread_annotations
from mcugen.quantize.ptq import Ranges
from mcugen.quantize.recipes import TRAITS
from mcugen.render import render
from mcugen.report.explain import explained
from mcugen.settings import make_settings

PLACEHOLDER_SCALE = 10.0  # wide enough that biases make no channel constant; compared with real calibrations


def placeholder_ranges(graph: Graph) -> Ranges:
    """Ranges of one random sample: sizes and layers hardly depend on them, results would."""
    rng = np.random.default_rng(0)
    sample = {
        n: (PLACEHOLDER_SCALE * rng.standard_normal((1, *graph.type(n).shape))).astype(np.float32)
        for n in graph.inputs
    }
    with np.errstate(all="ignore"):
        (values,) = run_samples(graph, sample, exact=False)
    return {name: _range(v) for name, v in values.items()}


def _range(values: np.ndarray[Any, Any]) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (-1.0, 1.0)


def _name(model: Path) -> str:
    """The library's name, or any other where the file's stem can be none: `build` has -n for that."""
    try:
        return c_name(model.stem)
    except UsageError:
        return "network"


def analyze(
    model: Path,
    board_name: str,
    calib: str | None = None,
    progress: Progress = silent,
    signature: str | None = None,
    quantize: str | None = None,
    io: str | None = None,
    in_float: Sequence[str] = (),
    recipe_file: str | Path | None = None,
    optimize: str | None = None,
    explain: bool = False,
) -> dict[str, Any]:
    """The manifest's figures without files, plus `needs` {ram, flash}, `board_memory`, `fits` and `problems`;
    `explain`: and `choice`, and `candidates` of every layer (see report/explain.py).

    Without calibration data the ranges are placeholders, said in a note: constant channels, and with them weights
    and MACs, may come out a little different in the build; inputs and outputs have no scales then.
    Raises what reading the model raises.
    """
    board = load_board(board_name)
    with stage(progress, "reading the model"):
        source = read(model, signature)
    graph = source.graph
    notes = list(source.notes)
    ranges: Ranges = {}
    wishes = make_settings(recipe_file, quantize, io, in_float, calib=calib, optimize=optimize)
    settings = settle(wishes, source)
    calibrates = TRAITS[settings.effective_recipe].calibrated and not source.quantized
    spread = spread_annotations(graph) if calibrates and annotated(graph) else None
    if spread:
        graph = spread.graph
        source = replace(source, graph=graph)
    placeholders = calib is None and calibrates and not (spread and not spread.missing)
    if placeholders:
        ranges = {**placeholder_ranges(graph), **(spread.ranges if spread else {})}
        notes.append(
            "without --calib the ranges are placeholders: sizes may differ a little from the build's"
        )
    elif spread:
        ranges = complete_ranges(spread, settings, progress, notes).ranges
    elif calibrates:
        calibrated = find_ranges(graph, settings, progress, notes)
        source, ranges = replace(source, graph=calibrated.graph), calibrated.ranges
    with stage(progress, "placing the buffers"):
        final = final_graph(source, ranges, settings, board, notes)
        aims = (settings.optimize, settings.layers)
        library = lay_out(final, board, _name(model), model.name, source.sha256, "", False, *aims)
        _, tables = render(library)
    notes += [*(origin_notes(spread, final) if spread else []), *float_notes(final, board)]
    result = describe(library, tables, {}, graph, {}, notes, source.format, signature)
    for key in ("files", "ranges", "command"):
        del result[key]
    if placeholders:
        for port in (*result["inputs"], *result["outputs"]):
            port["scale"] = port["zero_point"] = None
    result["memory"] |= {"stack_at_most": STACK_BYTES, "code_at_most": code_bytes(library)}
    if explain:
        result |= explained(library.decision, result["layers"])
    return {**result, **_fit(library, tables)}


def _fit(library: Library, tables: Tables) -> dict[str, Any]:
    """What the library needs beside what its board has."""
    problems: list[dict[str, str]] = []
    try:
        check_fit(library, tables)
    except FitError as error:
        problems = [{"where": f.where, "why": f.why, "fix": f.fix} for f in error.faults]
    wanted, board = needs(library, tables), library.board
    return {
        "needs": {"ram": wanted.ram, "flash": wanted.flash},
        # the longest run of each kind: what one array can fill
        "board_memory": {k: board.largest(k) for k in ("ram", "flash")} if board.has_limits else None,
        "fits": not problems if board.has_limits else None,
        "problems": problems,
    }


def check(result: dict[str, Any]) -> None:
    """Raises FitError if the analysed model does not fit its board."""
    if result["problems"]:
        headline = f"{result['model']['file']} does not fit {result['target']['board']}"
        raise FitError(headline, [Fault(**problem) for problem in result["problems"]])
