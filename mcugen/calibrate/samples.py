"""Samples from Python: arrays, dicts, iterables of samples, and `module:function`."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import attrgetter
from typing import Any

import numpy as np

from mcugen.calibrate.fit import InputSpec, dtype_fault, expected, fits, match_names, sample_dtype
from mcugen.calibrate.sources import LABELS, Table, entry_of
from mcugen.errors import Fault
from mcugen.ir import Array

_DICTS = "yield dicts by input name; they are safer than lists"


def from_function(module: str, function: str, inputs: Sequence[InputSpec], limit: int) -> Table:
    """What the user's function or object gives; the current folder is on the path meanwhile."""
    name = f"{module}:{function}"
    found = find_function(name)
    if isinstance(found, Fault):
        return Table(faults=[found])
    with importable():
        return from_object(found, inputs, limit, name)


def find_function(name: str) -> Any:
    """What `module:function` names, found from the current folder; a Fault that says why there is none."""
    module, _, function = name.rpartition(":")
    module = module.removesuffix(".py")
    if not all(part.isidentifier() for part in (*module.split("."), *function.split("."))):
        return Fault(name, "this is no module:function", "for example metrics:f1 for f1 in metrics.py")
    with importable():
        try:
            importlib.invalidate_caches()
            return attrgetter(function)(importlib.import_module(module))
        except (Exception, SystemExit) as error:  # user code runs at import
            if isinstance(error, ModuleNotFoundError) and error.name in (module, module.partition(".")[0]):
                fix = f"run in the folder that holds {module.replace('.', '/')}.py"
                return Fault(name, f"there is no file and no module {module}", fix)
            if isinstance(error, AttributeError) and not hasattr(sys.modules.get(module), function):
                return Fault(name, f"module {module} has no {function}", "check the spelling")
            return user_fault(name, error)


@contextmanager
def importable() -> Iterator[None]:
    """The current folder's modules can be imported."""
    folder = os.getcwd()
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


def from_object(found: Any, inputs: Sequence[InputSpec], limit: int, name: str = "samples") -> Table:
    """An array, a dict of arrays, an iterable of samples, or a callable that gives one of these."""
    try:
        if callable(found) and not hasattr(found, "__array__"):
            found = found()
        if isinstance(found, Mapping):
            return Table({str(key): entry_of(_array(value)) for key, value in found.items()})
        if hasattr(found, "__array__"):
            return Table({"": entry_of(_array(found))})
        if isinstance(found, (str, bytes)) or not (
            hasattr(found, "__iter__") or hasattr(found, "__getitem__")
        ):
            why = f"{type(found).__name__} is neither an array, a dict of arrays, nor an iterable of samples"
            return Table(faults=[Fault(name, why, _DICTS)])
        return _collect(found, inputs, limit, name)
    except (Exception, SystemExit) as error:  # user code: it may raise anything
        return Table(faults=[user_fault(name, error)])


def user_fault(name: str, error: BaseException) -> Fault:
    """What a user's code raised, and where."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({os.path.basename(frames[-1].filename)}, line {frames[-1].lineno})" if frames else ""
    return Fault(name, f"it raised {type(error).__name__}: {error}{place}", "run it by itself in Python")


def _collect(found: Iterable[Any], inputs: Sequence[InputSpec], limit: int, name: str) -> Table:
    """Samples one by one, until the first faulty one, of which all faults are listed."""
    table = Table()
    columns: dict[str, list[Array]] = {one.name: [] for one in inputs}
    labels: list[Any] = []
    size = 0
    for index, sample in enumerate(found):
        values, label = _by_name(sample, inputs)
        where = f"{name}, sample {index}"
        if isinstance(values, str):
            table.faults.append(Fault(where, values, _DICTS))
        else:
            for one in inputs:
                table.faults += _sample_faults(one, values[one.name], where)
        if table.faults or isinstance(values, str):
            return table
        for one in inputs:
            array = values[one.name].reshape(one.shape)
            with np.errstate(over="ignore"):
                kept = np.array(
                    array, sample_dtype(one) if array.dtype.kind == "f" else None
                )  # may be reused
            columns[one.name].append(kept)
            size += kept.nbytes
        labels += [] if label is None else [label]
        if size > limit:
            why = f"it gave more than {limit:,} bytes of samples and has not ended"
            table.faults.append(Fault(name, why, "a few hundred samples are enough: end the generator"))
            return table
    if not size:
        table.faults.append(Fault(name, "it gave no samples", "give some hundred samples of real input"))
        return table
    for key, arrays in columns.items():
        table.entries[key] = entry_of(np.stack(arrays))
        arrays.clear()
    if labels:
        key = next(key for key in LABELS if key not in columns)
        table.entries[key] = entry_of(np.stack([np.asarray(label) for label in labels]))
    return table


def _sample_faults(one: InputSpec, array: Array, where: str) -> list[Fault]:
    faults = dtype_fault(one, entry_of(array))
    if not faults and not fits(one, array.shape):
        why = f"it has shape {list(array.shape)}; the model expects {expected(one)}"
        faults = [
            Fault(f'input "{one.name}"', why, "yield one sample at a time, without or with a first axis of 1")
        ]
    return [Fault(f"{where}, {fault.where}", fault.why, fault.fix) for fault in faults]


def _array(value: Any) -> Array:
    try:
        return np.asarray(value)
    except ValueError:  # rows of different lengths
        return np.empty(0, object)


def _by_name(sample: Any, inputs: Sequence[InputSpec]) -> tuple[dict[str, Array] | str, Any]:
    """The sample's arrays by input name and its label; or a word on why it is no sample."""
    names = [one.name for one in inputs]
    label: Any = None
    if isinstance(sample, Mapping):
        label = next((sample[key] for key in LABELS if key in sample and key not in names), None)
        keys = {str(key): key for key in sample}
        found = match_names(keys, inputs)
        missing = [name for name in names if name not in found]
        if missing:
            return f"it has no {', '.join(missing)}; its keys are {', '.join(keys)}", None
        values = [sample[keys[found[name]]] for name in names]
    elif isinstance(sample, (list, tuple)):
        if len(sample) != len(names):
            return f"it is a list of {len(sample)} arrays, the model has {len(names)} inputs", None
        values = list(sample)
    elif len(names) == 1:
        values = [sample]
    else:
        return f"it is one {type(sample).__name__}, the model has {len(names)} inputs", None
    return {name: _array(value) for name, value in zip(names, values, strict=True)}, label
