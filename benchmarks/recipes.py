"""What every recipe costs and keeps on the five example models: docs/quantization.md's tables.

    python -m benchmarks.recipes            measure, write benchmarks/recipes.json and the tables
    python -m benchmarks.recipes --check    measure sizes and instructions, fail where one differs from the stored one

Sizes and instructions are deterministic. Accuracies come from float sums and may differ in the last digit between CPUs.
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
from unittest.mock import patch

import numpy as np

from benchmarks.ranges import EXAMPLES, HERE, MODELS, model_path, ranges_path, samples
from benchmarks.run import measure
from mcugen.ir import Array
from mcugen.ops.op import quantize_weights
from mcugen.pipeline import build
from mcugen.quantize.recipes import TRAITS, Recipe
from mcugen.verify import verify

RESULTS = HERE / "recipes.json"
PAGE = HERE.parent / "docs" / "quantization.md"
MARKS = ("<!-- `make recipes` writes this -->", "<!-- /recipes -->")
CORE = "cortex-m4"
SOFT = "cortex-m0"  # without FPU
MEASURED = ("instructions", "arena_bytes", "code_bytes", "const_bytes")
SAMPLES = 100  # of those models whose data may not be redistributed

Figures = dict[str, dict[str, dict[str, Any]]]  # recipe, model, what


def quality(model: str, recipe: str) -> dict[str, float | None]:
    """The C beside the float model: shares and dB. kws: on clips that it was not calibrated on."""
    calib = ranges_path(model) if TRAITS[Recipe(recipe)].calibrated else None
    data: Any = EXAMPLES / "kws" / "kws_test.npz" if model == "kws" else samples(model)
    if not isinstance(data, Path):
        data = data[:SAMPLES]
    with tempfile.TemporaryDirectory(prefix="mcugen-recipes-") as name:
        folder = build(model_path(model), calib=calib, out=Path(name), quantize=recipe).path
        report = verify(folder, data=data, model=model_path(model))
    report.check()
    found = report.float_report
    assert found is not None
    return {
        "agreement": found.agreement,
        "sqnr": found.sqnr,
        "accuracy": found.accuracy,
        "float_accuracy": found.float_accuracy,
    }


def _one_scale(
    weights: Array, bias: Array, input_scale: float, axis: int, given: Sequence[float] | None = None
) -> tuple[Array, Array, tuple[float, ...]]:
    """`quantize_weights` with the largest of the channels' scales for all of them; float models give none."""
    assert given is None
    scale = max(quantize_weights(weights, bias, input_scale, axis)[2])
    others = np.moveaxis(weights, axis, 0).reshape(len(bias), -1)
    padded = np.concatenate(
        [others, np.full((len(bias), 1), scale * 127.0)], axis=1
    )  # the peak of every channel
    data, whole_bias, scales = quantize_weights(padded, bias, input_scale, 0)
    shape = np.moveaxis(weights, axis, 0).shape
    return np.moveaxis(data[:, :-1].reshape(shape), 0, axis).copy(), whole_bias, scales


def per_tensor_quality(model: str) -> float | None:
    """SQNR of a model's output whose layers have one weight scale each, as TensorFlow's older converters make them."""
    with patch("mcugen.ops.conv2d.quantize_weights", _one_scale):
        return quality(model, Recipe.INT8.value)["sqnr"]


def measured(job: tuple[str, str], core: str = CORE) -> dict[str, Any]:
    """Sizes and instructions of one model under one recipe."""
    recipe, model = job
    calib = ranges_path(model) if TRAITS[Recipe(recipe)].calibrated else None
    figures = measure(model_path(model), core, None, calib, recipe)
    return {what: figures[what] for what in MEASURED}


def measure_all(with_quality: bool) -> Figures:
    """All figures; `with_quality` also accuracies."""
    jobs = [(recipe.value, model) for recipe in Recipe for model in MODELS if "fallback" not in recipe]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(measured, jobs))
    results: Figures = {}
    for (recipe, model), figures in zip(jobs, found, strict=True):
        if with_quality:
            figures |= quality(model, recipe)
        results.setdefault(recipe, {})[model] = figures
    for recipe, models in results.items():
        models["kws"]["soft_instructions"] = measured((recipe, "kws"), SOFT)["instructions"]
    if with_quality:
        results["int8"]["ad"]["per_tensor_sqnr"] = per_tensor_quality("ad")
    return results


def _table(results: Figures, title: str, what: str, text: str = "{:,}") -> list[str]:
    lines = ["", title, "", "| recipe | " + " | ".join(MODELS) + " |", "|---|" + "---:|" * len(MODELS)]
    for recipe, models in results.items():
        values = [models[model].get(what) for model in MODELS]
        lines.append(
            f"| {recipe} | " + " | ".join("-" if v is None else text.format(v) for v in values) + " |"
        )
    return lines


def tables(results: Figures) -> str:
    """The page's tables."""
    kws = results["int8"]["kws"]["float_accuracy"]
    lines = [f"Cortex-M4, arm-none-eabi-gcc -Os; kws scores {kws:.2%} of its 100 clips in float."]
    lines += _table(results, "Constants, bytes of flash:", "const_bytes")
    lines += _table(results, "Code, bytes of flash:", "code_bytes")
    lines += _table(results, "Arena, bytes of RAM:", "arena_bytes")
    lines += _table(results, "Executed instructions of one inference:", "instructions")
    soft = {recipe: models["kws"]["soft_instructions"] for recipe, models in results.items()}
    lines += ["", "kws on a Cortex-M0, which has no FPU, executed instructions: "]
    lines[-1] += ", ".join(f"{recipe} {count:,}" for recipe, count in soft.items()) + "."
    scored = "kws on clips it was not calibrated on, sww on its calibration samples"
    lines += _table(results, f"Accuracy ({scored}):", "accuracy", "{:.2%}")
    lines += _table(results, "Same class as the float model:", "agreement", "{:.2%}")
    lines += _table(results, "Signal to quantization noise of the output, dB:", "sqnr", "{:.1f}")
    ad = results["int8"]["ad"]
    lines += [
        "",
        f"ad in int8 with one weight scale per layer: {ad['per_tensor_sqnr']:.1f} dB; "
        f"with one per output channel: {ad['sqnr']:.1f} dB.",
    ]
    return "\n".join(lines)


def update_page(text: str, results: Figures) -> str:
    """The page with the tables between its marks made anew."""
    start, end = text.index(MARKS[0]) + len(MARKS[0]), text.index(MARKS[1])
    return f"{text[:start]}\n{tables(results)}\n{text[end:]}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 1 if --check found a difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare sizes and instructions, write nothing")
    check = parser.parse_args(arguments).check
    new = measure_all(not check)
    if check:
        old: Figures = json.loads(RESULTS.read_text(encoding="utf-8"))
        other = [
            f"{recipe}, {model}: {what} {old[recipe][model].get(what)} -> {value}"
            for recipe, models in new.items()
            for model, figures in models.items()
            for what, value in figures.items()
            if old.get(recipe, {}).get(model, {}).get(what) != value
        ]
        print("\n".join(other) or "every figure is the stored one")
        return 1 if other else 0
    RESULTS.write_text(json.dumps(new, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    PAGE.write_text(update_page(PAGE.read_text(encoding="utf-8"), new), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
