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
# What is built, by its title: core, and the aim if it is not the default one.
BUILDS: dict[str, tuple[str, str | None]] = {
    "cortex-m0": ("cortex-m0", None),
    "cortex-m0plus": ("cortex-m0plus", None),
    "cortex-m3": ("cortex-m3", None),
    "cortex-m4": ("cortex-m4", None),
    "cortex-m4, speed": ("cortex-m4", "speed"),
    "cortex-m7": ("cortex-m7", None),
    "cortex-m7, speed": ("cortex-m7", "speed"),
    "cortex-m33": ("cortex-m33", None),
    "cortex-m33, speed": ("cortex-m33", "speed"),
    "cortex-m55": ("cortex-m55", None),
    "rv32imc": ("rv32imc", None),
}
GROWTH = 1.01
_SIZES = {
    "RAM: arena": "arena_bytes",
    "RAM: stack (worst case / measured)": "stack_bytes",
    "flash: code": "code_bytes",
    "flash: code + constants": "flash_bytes",
}

Figures = dict[str, dict[str, Any]]


def measure(
    model: Path, core: str, optimize: str | None = None, calib: Path | None = None, recipe: str | None = None
) -> dict[str, int]:
    """A model file on one core: executed instructions and model cycles (where the core has them) of an inference,
    arena, code and constant bytes, worst-case stack."""
    with tempfile.TemporaryDirectory(prefix="mcugen-bench-") as name:
        out = Path(name)
        folder = build(model, calib=calib, board=core, out=out, quantize=recipe, optimize=optimize).path
        (found,) = bench(folder)
    return {figure: value for figure in FIGURES if (value := getattr(found, figure)) is not None}


def measure_all() -> Figures:
    """Figures by compiler version, title of the build and model."""
    jobs = [(title, model) for title in BUILDS for model in MODELS]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda job: measure(official(job[1]), *BUILDS[job[0]]), jobs))
    results: Figures = {}
    for (title, model), figures in zip(jobs, found, strict=True):
        version = compiler_version(load_board(BUILDS[title][0]).toolchain)
        results.setdefault(version, {}).setdefault(title, {})[model] = figures
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


def _sizes(ours: dict[str, Any], theirs: dict[str, Any], what: str) -> list[str]:
    flash = {model: figures["code_bytes"] + figures["const_bytes"] for model, figures in ours.items()}
    mine = {model: flash[model] if what == "flash_bytes" else ours[model][what] for model in MODELS}
    return [f"{mine[model]:,} / {theirs[model][what]:,}" for model in MODELS]


def table(results: Figures) -> str:
    """The README's tables, beside TensorFlow Lite Micro's figures."""
    baseline = json.loads(BASELINE.read_text(encoding="utf-8"))
    theirs = baseline["models"]
    ours = {title: models for _, by_title in sorted(results.items()) for title, models in by_title.items()}

    def beside(title: str, mine: str, peer: str) -> list[str]:
        core = BUILDS[title][0]
        pairs = [(ours[title][m].get(mine), theirs[m].get(peer, {}).get(core)) for m in MODELS]
        return [f"{_millions(value)} / {_millions(other)}" for value, other in pairs]

    modelled = {t: beside(t, "cycles", "layer_cycles") for t, (core, _) in BUILDS.items() if load_costs(core)}
    counted = {title: beside(title, "instructions", "instructions") for title in BUILDS}
    sizes = {
        f"{title}{aim}": _sizes(ours[f"cortex-m4{aim}"], theirs, what)
        for aim in ("", ", speed")
        for title, what in _SIZES.items()
    }
    lines = [
        *_rows("Model cycles of one inference (mcugen / CMSIS-NN's layers alone):", "core", modelled),
        *_rows("Executed instructions of one inference (mcugen / TFLM + CMSIS-NN):", "core", counted),
        *_rows("Bytes on a Cortex-M4 (mcugen / TFLM, int8 operators only):", "what", sizes),
        "`speed`: built with `--optimize speed`, all others with the default, `balanced`.",
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
