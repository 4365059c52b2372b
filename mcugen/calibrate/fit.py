"""Whether an array can be an input's samples, and turning it into them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mcugen.calibrate.sources import Entry
from mcugen.errors import Fault
from mcugen.ir import Array, DType

_SCALE = "scale your data as in training, for example x.astype(numpy.float32) / 255"


@dataclass(frozen=True)
class InputSpec:
    """What a model's input takes: `shape` without the batch axis, `batch` whether the model has one."""

    name: str
    shape: tuple[int, ...]
    dtype: DType
    batch: bool = True


def expected(one: InputSpec) -> str:
    return f"{one.dtype} samples of shape {list(one.shape)}"


def match_names(names: Iterable[str], inputs: Sequence[InputSpec]) -> dict[str, str]:
    """Which name is which input, {input: name}: the same one, else an alias that fits no other."""
    given = list(names)
    found = {one.name: one.name for one in inputs if one.name in given}
    free = [name for name in given if name not in found]
    rest = [one.name for one in inputs if one.name not in found]
    fitting = {name: [other for other in free if other in _aliases(name)] for name in rest}
    for name, others in fitting.items():
        if len(others) == 1 and sum(others[0] in them for them in fitting.values()) == 1:
            found[name] = others[0]
    return found


def _aliases(name: str) -> set[str]:
    """Other names that people give an input: its last path part, without `:0`, in C form."""
    forms = {name, name.rpartition("/")[2]}
    forms |= {re.sub(r":\d+$", "", form) for form in forms}
    forms |= {form.removeprefix("serving_default_") for form in forms}
    return (
        forms
        | {re.sub(r"\W", "_", form) for form in forms}
        | {re.sub(r"\W", "_", form).lower() for form in forms}
    )


def _is_float(one: InputSpec) -> bool:
    return one.dtype in (DType.FLOAT32, DType.FLOAT16)


def sample_dtype(one: InputSpec) -> np.dtype[Any]:
    """The type samples are kept in: float32 for every float input."""
    return np.dtype(np.float32) if _is_float(one) else one.dtype.numpy


def dtype_fault(one: InputSpec, entry: Entry) -> list[Fault]:
    """Nothing, or why these elements cannot be the input's."""
    where, kind = f'input "{one.name}"', entry.dtype.kind
    if entry.dtype.hasobject:
        why = "the array holds Python objects or rows of different lengths; pickles are never loaded"
        return [Fault(where, why, "stack the samples into one plain array before saving")]
    if kind not in "biuf":
        return [
            Fault(where, f"the data are {entry.dtype}; the model expects {expected(one)}", "give numbers")
        ]
    wanted = "f" if _is_float(one) else "b" if one.dtype is DType.BOOL else "iu"
    if kind in wanted:
        return []
    fix = _SCALE if wanted == "f" else f"give the model's own integer values, as {one.dtype}"
    return [Fault(where, f"the data are {entry.dtype}; the model expects {expected(one)}", fix)]


def fits(one: InputSpec, sample: tuple[int, ...]) -> bool:
    """Whether the shapes are the same but for axes of size 1."""
    return _without_units(sample) == _without_units(one.shape)


def _without_units(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def shape_fault(one: InputSpec, entry: Entry) -> list[Fault]:
    """Nothing, or why [count, *sample] is not the input's; axes of size 1 may be missing or too many."""
    where = f'input "{one.name}"'
    if entry.shape and fits(one, entry.shape[1:]):
        return []
    why = f"the array has shape {list(entry.shape)}; the model expects {expected(one)} along a first axis"
    fix = f"give an array of shape {['N', *one.shape]}".replace("'", "")
    if fits(one, entry.shape):
        fix = "this looks like one sample; put the sample axis first: x[None]"
    elif len(entry.shape) > 2 and sorted(entry.shape[1:]) == sorted(one.shape):
        fix = "the axes are in another order; use numpy.transpose (channels first or last?)"
    return [Fault(where, why, fix)]


def axes_note(one: InputSpec, sample: tuple[int, ...]) -> list[str]:
    """A word on axes of size 1 that were put in or taken out."""
    if sample == one.shape:
        return []
    return [f'input "{one.name}": samples of shape {list(sample)} are read as {list(one.shape)}']


def read_entry(one: InputSpec, entry: Entry) -> tuple[Array | None, list[Fault]]:
    """The samples [count, *shape] of an entry without faults, or what is wrong with their values."""
    where = f'input "{one.name}"'
    shape, dtype = (entry.shape[0], *one.shape), sample_dtype(one)
    limits = np.iinfo(dtype) if dtype.kind in "iu" and entry.dtype != dtype else None
    result: Array | None = None
    begin = 0
    for read in entry.parts:
        try:
            part = read()
        except Exception as error:  # a damaged file: zipfile, zlib and numpy raise a dozen types
            return None, [Fault(where, f"its values cannot be read: {error}", "save them again")]
        if limits and part.size and not (limits.min <= int(part.min()) and int(part.max()) <= limits.max):
            why = f"the data reach from {part.min()} to {part.max()}; the model expects {expected(one)}"
            return None, [Fault(where, why, "give values that the type can hold")]
        with np.errstate(over="ignore", invalid="ignore"):  # what becomes infinite is found below
            if len(entry.parts) == 1:
                result = np.ascontiguousarray(part.astype(dtype, copy=False).reshape(shape))
            else:
                result = np.empty(shape, dtype) if result is None else result
                result[begin : begin + len(part)] = part.reshape(len(part), *one.shape)
        begin += len(part)
    assert result is not None
    return (None, [fault]) if (fault := _value_fault(where, result)) else (result, [])


def _value_fault(where: str, samples: Array) -> Fault | None:
    if samples.dtype.kind != "f":
        return None
    finite = np.isfinite(samples)
    if finite.all():
        return None
    bad = np.argwhere(~finite)
    why = f"{len(bad):,} values are NaN, infinite or beyond float32, the first in sample {bad[0, 0]}"
    return Fault(where, why, "remove or repair these samples")
