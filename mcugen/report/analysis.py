"""`mcugen analyze`: what a model would cost on a board, without calibration and without code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mcugen.boards import load_board
from mcugen.errors import FitError
from mcugen.execute import run_samples
from mcugen.fit import check_fit
from mcugen.ir import Graph
from mcugen.manifest import describe
from mcugen.naming import c_name
from mcugen.pipeline import compile_graph, lay_out, read
from mcugen.quantize.ptq import Ranges
from mcugen.render import render


def placeholder_ranges(graph: Graph) -> Ranges:
    """Ranges of one random sample: sizes and layers hardly depend on them, results would."""
    rng = np.random.default_rng(0)
    sample = {n: rng.standard_normal((1, *graph.type(n).shape)).astype(np.float32) for n in graph.inputs}
    with np.errstate(all="ignore"):
        (values,) = run_samples(graph, sample)
    return {
        name: (
            float(np.nan_to_num(v.min(), posinf=1, neginf=-1)),
            float(np.nan_to_num(v.max(), posinf=1, neginf=-1)),
        )
        for name, v in values.items()
    }


def analyze(model: Path, board_name: str) -> dict[str, Any]:
    """The manifest's figures without files, plus `fits` and `problems`. Raises what reading the model raises."""
    board = load_board(board_name)
    imported, graph = read(model)
    ranges = placeholder_ranges(graph)
    library = lay_out(
        compile_graph(graph, ranges),
        board,
        c_name(model.stem),
        model.name,
        imported.file.sha256,
        "mcugen analyze",
    )
    _, tables = render(library)
    result = describe(library, tables, {}, graph, {}, list(imported.notes))
    for key in ("files", "ranges", "command"):
        del result[key]
    problems: list[str] = []
    try:
        check_fit(library, tables)
    except FitError as error:
        problems = [str(fault) for fault in error.faults]
    memories = {kind: board.total(kind) for kind in ("flash", "ram")} if board.has_limits else None
    return {**result, "board_memory": memories, "fits": not problems, "problems": problems}
