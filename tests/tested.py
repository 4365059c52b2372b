"""docs/tested.md: what the tests of operators compared with TensorFlow Lite Micro. Run as a program it runs those tests
and writes the page; it fails where one of them fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import tflm_record

from mcugen.ops import TFLITE_IMPORTS

REPOSITORY = Path(__file__).resolve().parent.parent
PAGE = REPOSITORY / "docs/tested.md"
FLOAT_ONLY = "its kernel in TensorFlow Lite Micro takes float32 alone"
UNKNOWN = "the wheel does not register it"
OWN = {  # operator -> why the wheel cannot run it on int8; tests/test_tested.py lets it try
    **dict.fromkeys(
        ("CEIL", "COS", "EXP", "FLOOR", "LOG", "NEG", "ROUND", "SIN", "SQRT", "SQUARE"), FLOAT_ONLY
    ),
    **dict.fromkeys(("GELU", "RELU_0_TO_1", "RELU_N1_TO_1", "SIGN"), UNKNOWN),
}
"""Operators whose definition is our own: correctly rounded tables, tested in tests/ops/test_unary.py."""

NOTES = {
    "BATCH_TO_SPACE_ND": "run at the end of a chain SPACE_TO_BATCH_ND, convolution, BATCH_TO_SPACE_ND, which our import"
    " makes one dilated convolution: the bytes are the chain's",
    "DEPTHWISE_CONV_2D": "always with a bias: without one the wheel aborts",
    "DIV": "without divisors of 0, which the wheel refuses, and without quotients that it shifts by 32 bits or more,"
    " which C does not define: there ours is 0",
    "CONCATENATION": "of one scale: the wheel refuses others, which our import requantizes first",
    "QUANTIZE": "of float32 numbers below 2^31 steps: beyond, the wheel's cast is not defined",
    "RSQRT": "of numbers that are not negative (with a zero point of 127 there is only 0): the wheel refuses others;"
    " and not where it shifts by 32 bits or more, which C does not define: there ours rounds to 0",
    "SPACE_TO_BATCH_ND": "without padding, or beside it: the wheel pads with an uninitialised number",
}
IGNORED = (
    "asymmetric_quantize_inputs",
    "pot_scale_int16",
    "quant_spec",
    "quantized_bias_type",
)  # no kernel heeds them
WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
HEAD = """# What was compared with TensorFlow Lite Micro

Made by `make tested` from a run of the tests in `tests/ops`; do not edit.

Each operator below was run in models of that one operator, by the operator's integer reference and by TensorFlow Lite
Micro's reference kernels. Every byte of every output was equal. The kernels in C are compared with the integer
references by `tests/kernels`, in models of their own.

Ratios of scales are those of an input's to an output's. Values are the tensors' integers; "also all -128" means: some
tensor holds nothing else. Operators whose ratio is always 1 copy or choose bytes, or TFLM asks for one scale."""

CHAINS_HEAD = """# Compared in models of several operators

These mean nothing by themselves: run after run their models gave the same bytes."""
OWN_HEAD = """# Not compared

These have a definition of our own, the real function rounded to the nearest step:"""


def collect(jobs: int = 2) -> list[dict[str, Any]]:
    """Run the tests of operators; their runs in TFLM, in a fixed order. Raises where a test fails."""
    outer = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-n",
            str(jobs),
            "-p",
            "no:cacheprovider",
            "tests/ops",
        ]
        done = subprocess.run(
            command,
            cwd=REPOSITORY,
            env={**outer, tflm_record.FOLDER: folder},
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise RuntimeError(done.stdout[-4000:] + done.stderr[-4000:])
        lines = {line for path in Path(folder).iterdir() for line in path.read_text("utf-8").splitlines()}
    if not lines:
        raise RuntimeError("nothing ran: the wheel of TensorFlow Lite Micro is missing")
    return [json.loads(line) for line in sorted(lines)]


def page(records: Sequence[dict[str, Any]]) -> str:
    """docs/tested.md."""
    ours = [r for r in records if len(r["operators"]) == 1 and r["operators"][0] in TFLITE_IMPORTS]
    ours.sort(key=lambda r: str(r["operators"][0]))
    groups = {op: list(some) for op, some in groupby(ours, key=lambda r: str(r["operators"][0]))}
    total = f"{_count(len(groups), 'operator')}, {_models(ours)}, {_bytes(ours)}."
    lines = [HEAD, "", f"In all {total}", ""]
    chains = {op: [r for r in records if op in r["operators"]] for op in sorted(TFLITE_IMPORTS)}
    chains = {op: some for op, some in chains.items() if some and op not in groups}
    for op, some in groups.items():
        lines += [f"## {op}", "", *(f"* {line}" for line in summary(op, some)), ""]
    lines += [CHAINS_HEAD, ""] if chains else []
    for op, some in chains.items():
        beside = sorted({other for r in some for other in r["operators"]} - {op})
        tests = ", ".join(sorted({Path(r["test"]).name for r in some}))
        about = f"{_models(some)}, {_bytes(some)} of outputs ({tests})", f"beside {', '.join(beside)}"
        lines += [f"## {op}", "", *(f"* {line}" for line in about), ""]
    lines += [OWN_HEAD, "", *(f"* {op}: {why}" for op, why in sorted(OWN.items()))]
    return "\n".join(lines) + "\n"


def summary(op: str, records: Sequence[dict[str, Any]]) -> list[str]:
    """What one operator's models were."""
    inputs = [t for r in records for t in r["inputs"] if t]
    xs, ys = [t for t in inputs if not t["constant"]], [t for r in records for t in r["outputs"]]
    constants = [t for t in inputs if t["constant"] and t["scales"]]
    lines = [
        f"{_models(records)}, {_bytes(records)}; {', '.join(sorted({_types(r) for r in records}))}"
        f" ({', '.join(sorted({Path(r['test']).name for r in records}))})",
        *([NOTES[op]] if op in NOTES else []),
        f"inputs: {_tensors(xs)}",
    ]
    if op in WEIGHTED:
        lines.append(f"weights: {_tensors([r['inputs'][1] for r in records])}; {_per_channel(records)}")
    elif constants:
        lines.append(f"constant operands: {_tensors(constants)}")
    lines.append(f"outputs: {_tensors(ys)}")
    ratios = {
        x["scales"][0] / y["scales"][0]
        for r in records
        for x in r["inputs"]
        for y in r["outputs"]
        if x and not x["constant"] and x["scales"] and y["scales"]
    }
    if ratios:
        lines.append(f"ratios of scales: {_range(ratios)}")
    options: dict[str, list[Any]] = {}
    for r in records:
        for name, value in r["options"].items():
            options.setdefault(name, []).append(value)
    missing = _missing(xs)
    lines += [f"not tested: {', '.join(missing)}"] if missing else []
    return lines + [f"`{name}`: {_values(v)}" for name, v in sorted(options.items()) if name not in IGNORED]


def _tensors(tensors: Sequence[dict[str, Any]]) -> str:
    """Shapes, scales, zero points and integers of one role's tensors."""
    parts = [_shapes(tensors)]
    scales = {s for t in tensors for s in t["scales"]}
    if scales:
        parts += [
            f"scales {_range(scales)}",
            f"zero points {_range(z for t in tensors for z in t['zero_points'])}",
        ]
    ranges = {tuple(t["range"]) for t in tensors if t["range"]}
    parts.append(f"values {_range(v for r in ranges for v in r)}")
    whole = [f"all {end}" for end in (-128, 127) if (end, end) in ranges]
    return ", ".join(parts) + (f" (also {', '.join(whole)})" if whole else "")


def _missing(xs: Sequence[dict[str, Any]]) -> list[str]:
    """What the inputs of a thinly tested operator never were."""
    zeros = {z for t in xs for z in t["zero_points"]}
    ranges = {tuple(t["range"]) for t in xs}
    missing = ["more than two shapes of the input"] if len({tuple(t["shape"]) for t in xs}) < 3 else []
    missing += ["more than one scale"] if len({s for t in xs for s in t["scales"]}) < 2 else []
    missing += [f"the zero point {end}" for end in (-128, 127) if end not in zeros]
    return missing + [f"an input of all {end}" for end in (-128, 127) if (end, end) not in ranges]


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _types(record: dict[str, Any]) -> str:
    sides = (
        [t["dtype"] for t in record["inputs"] if t and (t["scales"] or not t["constant"])],
        [t["dtype"] for t in record["outputs"]],
    )
    return " -> ".join(", ".join(dict.fromkeys(side)) for side in sides)


def _shapes(tensors: Sequence[dict[str, Any]]) -> str:
    """How many shapes there are, the smallest and the largest."""
    shapes = sorted({tuple(t["shape"]) for t in tensors}, key=lambda s: (_elements(s), s))
    if len(shapes) == 1:
        return str(list(shapes[0]))
    ranks = sorted({len(s) for s in shapes})
    return f"{len(shapes)} shapes of {_range(ranks)} axes, from {list(shapes[0])} to {list(shapes[-1])}"


def _elements(shape: Sequence[int]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def _per_channel(records: Sequence[dict[str, Any]]) -> str:
    models = {r["model"]: len(r["inputs"][1]["scales"]) > 1 for r in records}
    many = sum(models.values())
    return f"{_count(many, 'model')} per channel, {len(models) - many:,} per tensor"


def _models(records: Iterable[dict[str, Any]]) -> str:
    return _count(len({r["model"] for r in records}), "model")


def _bytes(records: Iterable[dict[str, Any]]) -> str:
    """Those of the outputs; the same run in two tests counts once."""
    return _count(sum({r["run"]: int(r["bytes"]) for r in records}.values()), "byte")


def _range(values: Iterable[float]) -> str:
    """The smallest and the largest. NaN has no place among them."""
    found = sorted({v for v in values if v == v})
    if not found:
        return "none"
    first, last = (f"{found[i]:.3g}" if found[i] % 1 else f"{found[i]:.0f}" for i in (0, -1))
    return first if len(found) == 1 else f"{first} .. {last}"


def _values(values: Sequence[Any]) -> str:
    """Options: names and lists all, numbers from the smallest to the largest."""
    if all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values):
        return _range(values) + (", nan" if any(v != v for v in values) else "")
    return ", ".join(sorted({str(v).lower() if isinstance(v, bool) else str(v) for v in values}))


if __name__ == "__main__":
    PAGE.write_text(page(collect()), encoding="utf-8")
