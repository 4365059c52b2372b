"""Figures of the five example models on every emulated core: instructions, arena, code and constants.

    python -m benchmarks.run            measure, write benchmarks/results.json and the table in README.md
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

from benchmarks.ranges import MODELS, model_path, ranges_path
from mcugen.bench.emulator import run_firmware
from mcugen.bench.firmware import Vectors, build_firmware
from mcugen.boards import load_board
from mcugen.execute import run
from mcugen.graph_file import load_graph
from mcugen.pipeline import build
from mcugen.quantize.recipes import TRAITS, Recipe
from mcugen.simulate import HostLibrary
from mcugen.tools import compiler_version
from mcugen.verify import random_vectors

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.json"
BASELINE = HERE / "baseline.json"
README = HERE.parent / "README.md"
MARKS = ("<!-- benchmarks: `make bench` writes this -->", "<!-- /benchmarks -->")
CORES = ("cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55", "rv32imc")
GROWTH = 1.01

Figures = dict[str, dict[str, Any]]


def measure(model: str, core: str, recipe: str = "int8") -> dict[str, int]:
    """One model on one core: executed instructions of an inference, arena, code and constant bytes, stack."""
    board = load_board(core)
    with tempfile.TemporaryDirectory(prefix="mcugen-bench-") as name:
        calib = ranges_path(model) if TRAITS[Recipe(recipe)].calibrated else None
        folder = build(model_path(model), calib=calib, board=board, out=Path(name), quantize=recipe).path
        library = HostLibrary(folder)
        graph = load_graph(folder / f"{library.manifest['name']}.graph.npz")
        inputs = random_vectors(library.inputs, count=1)
        first = {n: a[:1].reshape(graph.type(n).shape) for n, a in zip(graph.inputs, inputs, strict=True)}
        values = run(graph, first)
        layers = [values[e["output"]["tensor"]].reshape(1, -1) for e in library.layers]
        outputs = [values[n].reshape(1, -1) for n in graph.outputs]
        vectors = Vectors.from_arrays([a[:1] for a in inputs], outputs, layers)
        image = build_firmware(folder, board, vectors, Path(name) / "firmware")
        result = run_firmware(image, board)
        assert result.ok, f"{model} on {core}: {result.wrong_bytes} wrong bytes"
        return {
            "instructions": result.instructions[0],
            "arena_bytes": library.manifest["memory"]["arena"],
            "code_bytes": image.code_bytes,
            "const_bytes": image.const_bytes,
            "stack_bytes": result.stack_bytes,
        }


def measure_all() -> Figures:
    """Figures by compiler version, core and model."""
    jobs = [(core, model) for core in CORES for model in MODELS]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda job: measure(job[1], job[0]), jobs))
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


def _millions(value: int | None) -> str:
    return "-" if value is None else f"{value / 1e6:.2f} M"


def table(results: Figures) -> str:
    """The README's tables, beside TensorFlow Lite Micro's figures."""
    theirs = json.loads(BASELINE.read_text(encoding="utf-8"))
    cores = {core: models for _, by_core in sorted(results.items()) for core, models in by_core.items()}
    lines = [
        "Executed instructions of one inference (mcugen, portable C / TFLM + CMSIS-NN):",
        "",
        "| core | " + " | ".join(MODELS) + " |",
        "|---|" + "---:|" * len(MODELS),
    ]
    for core in CORES:
        cells = []
        for model in MODELS:
            peer = theirs["models"][model]["instructions"].get(core)
            cells.append(f"{_millions(cores[core][model]['instructions'])} / {_millions(peer)}")
        lines.append(f"| {core} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "Bytes on a Cortex-M4 (mcugen / TFLM, int8 operators only):",
        "",
        "| what | " + " | ".join(MODELS) + " |",
        "|---|" + "---:|" * len(MODELS),
    ]
    rows = {
        "RAM: arena": ("arena_bytes", "arena_bytes"),
        "flash: code": ("code_bytes", "code_bytes"),
        "flash: code + constants": (None, "flash_bytes"),
    }
    for title, (mine, peer_key) in rows.items():
        cells = []
        for model in MODELS:
            figures = cores["cortex-m4"][model]
            value = figures["code_bytes"] + figures["const_bytes"] if mine is None else figures[mine]
            cells.append(f"{value:,} / {theirs['models'][model][peer_key]:,}")
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    lines += ["", f"Compilers: {', '.join(sorted(results))}. Peer: {theirs['what']}."]
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
