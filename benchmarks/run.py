"""Figures of the five official int8 models on every emulated core: instructions, model cycles, arena, stack, flash.

    python -m benchmarks.run            measure, write benchmarks/results.json and the tables in README.md
    python -m benchmarks.run --check    measure, fail where a figure of the same compiler grew by more than 1 %

All figures are deterministic: equal on every machine with the same compiler.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.ranges import EXAMPLES, MODELS
from mcugen.bench.compare import FIGURES
from mcugen.bench.costs import load_costs
from mcugen.bench.measure import bench
from mcugen.boards import load_board
from mcugen.pipeline import build
from mcugen.tools import compiler_version

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.json"
BASELINE = HERE / "baseline.json"
README = HERE.parent / "README.md"
MARKS = ("<!-- benchmarks: `make bench` writes this -->", "<!-- /benchmarks -->")
CORES = (
    "cortex-m0",
    "cortex-m0plus",
    "cortex-m3",
    "cortex-m4",
    "cortex-m7",
    "cortex-m33",
    "cortex-m55",
    "rv32imc",
)
GROWTH = 1.01
_SIZES = {
    "RAM: arena": "arena_bytes",
    "RAM: stack (ours at worst, theirs measured)": "stack_bytes",
    "flash: code": "code_bytes",
    "flash: code + constants": "flash_bytes",
}

Figures = dict[str, dict[str, Any]]


def measure(model: Path, core: str, calib: Path | None = None, recipe: str | None = None) -> dict[str, int]:
    """A model file on one core: executed instructions and model cycles (where the core has them) of an inference,
    arena, code and constant bytes, worst-case stack."""
    with tempfile.TemporaryDirectory(prefix="mcugen-bench-") as name:
        folder = build(model, calib=calib, board=core, out=Path(name), quantize=recipe).path
        (found,) = bench(folder)
    return {figure: value for figure in FIGURES if (value := getattr(found, figure)) is not None}


def measure_all() -> Figures:
    """Figures by compiler version, core and model."""
    jobs = [(core, model) for core in CORES for model in MODELS]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda job: measure(official(job[1]), job[0]), jobs))
    results: Figures = {}
    for (core, model), figures in zip(jobs, found, strict=True):
        version = compiler_version(load_board(core).toolchain)
        results.setdefault(version, {}).setdefault(core, {})[model] = figures
    return results


def growth(old: Figures, new: Figures) -> list[str]:
    """A line for every figure that grew by more than 1 % under the same compiler."""
    return [
        f"{version}, {core}, {model}: {what} {before:,} -> {after:,}"
        for version, cores in new.items()
        for core, models in cores.items()
        for model, figures in models.items()
        for what, after in figures.items()
        if (before := old.get(version, {}).get(core, {}).get(model, {}).get(what)) is not None
        and after > before * GROWTH
    ]


def official(model: str) -> Path:
    """The official int8 file of an MLPerf Tiny model."""
    return EXAMPLES / "tflite" / f"{model}_int8.tflite"


def _millions(value: int | None) -> str:
    return "-" if value is None else f"{value / 1e6:.2f} M"


def _rows(title: str, first: str, rows: dict[str, list[str]]) -> list[str]:
    """A table with a column for each model."""
    head = [title, "", f"| {first} | " + " | ".join(MODELS) + " |", "|---|" + "---:|" * len(MODELS)]
    return [*head, *(f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows.items()), ""]


def table(results: Figures) -> str:
    """The README's tables, beside TensorFlow Lite Micro's figures."""
    baseline = json.loads(BASELINE.read_text(encoding="utf-8"))
    theirs = baseline["models"]
    cores = {core: models for _, by_core in sorted(results.items()) for core, models in by_core.items()}

    def beside(core: str, mine: str, peer: str) -> list[str]:
        pairs = [(cores[core][m].get(mine), theirs[m].get(peer, {}).get(core)) for m in MODELS]
        return [f"{_millions(ours)} / {_millions(other)}" for ours, other in pairs]

    modelled = {core: beside(core, "cycles", "layer_cycles") for core in CORES if load_costs(core)}
    counted = {core: beside(core, "instructions", "instructions") for core in CORES}
    m4 = {m: dict(figures) for m, figures in cores["cortex-m4"].items()}
    for figures in m4.values():
        figures["flash_bytes"] = figures["code_bytes"] + figures["const_bytes"]
    sizes = {
        title: [f"{m4[m][what]:,} / {theirs[m][what]:,}" for m in MODELS] for title, what in _SIZES.items()
    }
    lines = [
        *_rows("Model cycles of one inference (mcugen / CMSIS-NN's layers alone):", "core", modelled),
        *_rows("Executed instructions of one inference (mcugen / TFLM + CMSIS-NN):", "core", counted),
        *_rows("Bytes on a Cortex-M4 (mcugen / TFLM, int8 operators only):", "what", sizes),
        f"Compilers: {', '.join(sorted(results))}. Peer: {baseline['what']}; {baseline['layer_cycles_what']}.",
    ]
    return "\n".join(lines)


def update_readme(text: str, results: Figures) -> str:
    """README text with the tables between the marks made anew."""
    start, end = text.index(MARKS[0]) + len(MARKS[0]), text.index(MARKS[1])
    return f"{text[:start]}\n{table(results)}\n{text[end:]}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 1 if --check found growth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="compare with the committed figures, write nothing"
    )
    check = parser.parse_args(arguments).check
    new = measure_all()
    old: Figures = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    if check:
        worse = growth(old, new)
        print("\n".join(worse) or "no figure grew by more than 1 %")
        return 1 if worse else 0
    results = {**old, **new}
    RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    README.write_text(update_readme(README.read_text(encoding="utf-8"), results), encoding="utf-8")
    print(table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
