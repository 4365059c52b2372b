"""The one loader for calibration and test data: files, folders and generators become arrays by input.

Every array has the sample axis first. All faults are reported at once, as UsageError.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mcugen.calibrate import samples
from mcugen.calibrate.fit import (
    InputSpec,
    axes_note,
    dtype_fault,
    expected,
    match_names,
    read_entry,
    shape_fault,
)
from mcugen.calibrate.sources import LABELS, Entry, Table, open_path
from mcugen.errors import Fault, UsageError
from mcugen.ir import Array, DType

__all__ = ["DataSet", "InputSpec", "load_data", "random_data"]

MAX_BYTES = 2**31
Purpose = Literal["calibration", "test"]


@dataclass(frozen=True, eq=False)
class DataSet:
    """Samples for every input of a model.

    arrays: by input name, [count, *shape], float32 for float inputs, else the input's own type; arrays that
    came from Python in that form are shared, not copied. labels: [count, ...] or None. description: one line
    on where the samples came from. notes: what the user should know about how they were understood.
    """

    arrays: dict[str, Array]
    labels: Array | None
    count: int
    description: str
    notes: list[str] = field(default_factory=list)


def load_data(
    spec: str | Path | Mapping[str, Any] | Array | Iterable[Any],
    inputs: Sequence[InputSpec],
    *,
    purpose: Purpose,
) -> DataSet:
    """Load samples for all inputs of a model.

    spec: a .npz or .npy file, a folder of either, `module:function`; or from Python an array (one input), a
    dict of arrays by input name, an iterable of samples or a callable that gives one. A sample is a dict by
    input name, a list in the order of the inputs, or for one input an array; each array is without the sample
    axis or with one of length 1. At most MAX_BYTES of samples are read.
    Raises UsageError with all faults that were found.
    """
    description, table = _open(spec, inputs)
    title = f"{purpose} data from {description}"
    chosen: dict[str, Entry] = {}
    labels: Entry | None = None
    if not table.faults:
        chosen, labels = _choose(table, inputs)
    _fail(title, table.faults)
    faults = _count_faults(chosen, labels)
    for one in inputs:
        faults += dtype_fault(one, chosen[one.name]) + shape_fault(one, chosen[one.name])
    if labels is not None and (labels.dtype.kind not in "biufUS" or not labels.shape):
        why = f"they are {labels.dtype}{list(labels.shape)}"
        faults.append(Fault("labels", why, "give one plain number for each sample"))
    total = sum(entry.bytes for entry in chosen.values()) + (labels.bytes if labels else 0)
    if total > MAX_BYTES:
        fix = (
            "a few hundred samples are enough"
            if purpose == "calibration"
            else "give fewer samples, or parts (`mcugen evaluate`)"
        )
        faults.append(Fault("", f"{total:,} bytes of samples, at most {MAX_BYTES:,} are read", fix))
    _fail(title, faults)

    arrays: dict[str, Array] = {}
    for one in inputs:
        table.notes += axes_note(one, chosen[one.name].shape[1:])
        array, found = read_entry(one, chosen[one.name])
        faults += found
        if array is not None:
            arrays[one.name] = array
    label_array: Array | None = None
    if labels is not None:
        try:
            label_array = np.concatenate([read() for read in labels.parts])
        except Exception as error:  # a damaged file: zipfile, zlib and numpy raise a dozen types
            faults.append(Fault("labels", f"they cannot be read: {error}", "save them again"))
    _fail(title, faults)
    count = next(iter(arrays.values())).shape[0]
    return DataSet(arrays, label_array, count, f"{description} ({count} samples)", table.notes)


def random_data(inputs: Sequence[InputSpec], count: int, seed: int) -> DataSet:
    """Standard normal numbers (0 or 1 for integer inputs), for a first try; UsageError if count < 1."""
    if count < 1:
        raise UsageError(f"{count} random samples asked for", [Fault("", "at least one is needed")])
    rng = np.random.default_rng(seed)
    arrays: dict[str, Array] = {}
    for one in inputs:
        shape = (count, *one.shape)
        if one.dtype in (DType.FLOAT32, DType.FLOAT16):
            arrays[one.name] = rng.standard_normal(shape, np.float32)
        else:
            arrays[one.name] = rng.integers(0, 2, shape).astype(one.dtype.numpy)
    note = (
        "RANDOM DATA, not samples of the real input: sizes and speed are right, accuracy is not."
        " Give real samples before you use the library"
    )
    return DataSet(arrays, None, count, f"random numbers ({count} samples, seed {seed})", [note])


def _fail(title: str, faults: Sequence[Fault]) -> None:
    if faults:
        raise UsageError(f"{title}: {len(faults)} {'fault' if len(faults) == 1 else 'faults'}", faults)


def _open(spec: Any, inputs: Sequence[InputSpec]) -> tuple[str, Table]:
    if isinstance(spec, (str, os.PathLike)):
        text = os.fspath(spec)
        path = Path(text)
        if os.path.exists(text):
            return path.name or text, open_path(path)
        module, colon, function = text.rpartition(":")
        module = module.removesuffix(".py")
        if colon and all(part.isidentifier() for part in (*module.split("."), *function.split("."))):
            return text, samples.from_function(module, function, inputs, MAX_BYTES)
        fix = "give a .npz or .npy file, a folder of either, or module:function"
        return text, Table(faults=[Fault(text, "no such file or folder", fix)])
    return "Python", samples.from_object(spec, inputs, MAX_BYTES)


def _choose(table: Table, inputs: Sequence[InputSpec]) -> tuple[dict[str, Entry], Entry | None]:
    """Which array is which input, by name, else the only one possible; faults and notes go to the table."""
    entries = dict(table.entries)
    chosen = {name: entries.pop(found) for name, found in match_names(entries, inputs).items()}
    labels = next((entries.pop(name) for name in LABELS if name in entries), None)
    missing = [one for one in inputs if one.name not in chosen]
    if len(inputs) == 1 and missing:
        name = _only_candidate(missing[0], entries)
        if name is not None:
            chosen[missing[0].name] = entries.pop(name)
            missing = []
            if name:
                table.notes.append(f'array "{name}" is taken for input "{inputs[0].name}"')
    for one in missing:
        table.faults.append(_missing_fault(one, entries, len(inputs)))
    if entries and not missing:
        names = ", ".join(f'"{name}"' for name in list(entries)[:8]) + (" ..." if len(entries) > 8 else "")
        table.notes.append(f"arrays not used: {names}")
    return chosen, labels


def _only_candidate(one: InputSpec, entries: Mapping[str, Entry]) -> str | None:
    if len(entries) == 1:
        return next(iter(entries))
    fitting = [
        name for name, entry in entries.items() if not dtype_fault(one, entry) + shape_fault(one, entry)
    ]
    return fitting[0] if len(fitting) == 1 else None


def _missing_fault(one: InputSpec, entries: Mapping[str, Entry], inputs: int) -> Fault:
    if not entries:
        there = "there is no array for it"
    else:
        listed = ", ".join(
            f"{f'{name!r} ' if name else ''}{entry.dtype}{list(entry.shape)}".replace("'", '"')
            for name, entry in list(entries.items())[:8]
        )
        there = f"no array has its name; there are {listed}" + (" ..." if len(entries) > 8 else "")
    fix = f"save it as numpy.savez(file, **{{{one.name!r}: samples}})"
    if inputs > 1 and set(entries) == {""}:
        fix = f"a model with {inputs} inputs needs a .npz file with its arrays by input name"
    return Fault(f'input "{one.name}"', f"{there}; the model expects {expected(one)}", fix)


def _count_faults(chosen: Mapping[str, Entry], labels: Entry | None) -> list[Fault]:
    """Samples that are missing: none at all, or fewer in one array than in another."""
    counts = {f'input "{name}"': entry.shape[0] for name, entry in chosen.items() if entry.shape}
    if labels is not None:
        counts |= {"labels": labels.shape[0]} if labels.shape else {}
    faults = [
        Fault(name, "there are no samples in it", "give some hundred samples of real input")
        for name, count in counts.items()
        if count == 0
    ]
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        faults.append(
            Fault("", f"the numbers of samples differ: {listed}", "give every array the same number")
        )
    return faults
