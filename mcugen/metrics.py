"""Figures of merit of outputs against labels, by the field's names, and users' own: `module:function`."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mcugen.calibrate.samples import find_function, importable, user_fault
from mcugen.errors import Fault, UsageError
from mcugen.ir import Array
from mcugen.score import Noise, class_numbers

TOP = 5
MOST_CLASSES = 4096  # of a confusion matrix


@dataclass(frozen=True, eq=False)
class Truth:
    """What the labels of N samples say about the first output: class numbers [N] ("classes"), 0 or 1 beside a
    single score [N] ("binary"), or the values the output should have, [N, size] ("targets")."""

    kind: Literal["classes", "binary", "targets"]
    values: Array

    def __getitem__(self, part: slice | Array) -> Truth:
        return Truth(self.kind, self.values[part])


def understand(labels: Array | None, count: int, port: Mapping[str, Any]) -> tuple[Truth | None, list[str]]:
    """Labels [count, ...] of a model whose first output is `port`, as the manifest describes it; None and a note
    that says why if they cannot be scored."""
    if labels is None:
        return None, []
    size = math.prod(port["shape"])
    if is_index(port) and size == 1:  # any number is a class
        numbers, notes = class_numbers(labels, count, [1 << 31])
    elif labels.dtype.kind not in "biuf":
        return None, [f"labels are not scored: they are {labels.dtype}: numbers are needed"]
    elif labels.size == count * size and not _one_hot(labels, size):
        values = labels.reshape(count, size).astype(np.float64)
        if not np.isfinite(values).all():
            return None, ["labels are not scored: they are not all finite"]
        if size == 1 and np.isin(values, (0, 1)).all():
            return Truth("binary", values[:, 0].astype(np.int64)), []
        return Truth("targets", values), []
    else:
        numbers, notes = class_numbers(labels, count, port["shape"])
    return None if numbers is None else Truth("classes", numbers), notes


def is_index(port: Mapping[str, Any]) -> bool:
    """Whether a port's integers stand for themselves, not for real numbers."""
    return port["scale"] is None and not str(port["dtype"]).startswith("float")


def _one_hot(labels: Array, size: int) -> bool:
    rows = labels.reshape(-1, size)
    return size > 1 and bool(np.isin(rows, (0, 1)).all() and (rows.sum(axis=1) == 1).all())


# --- the standard ones ---


def answers(outputs: Array) -> Array | None:
    """The class that each sample's first output [N, size] names: where it is largest, the first among equals, or
    the index that it is; None if it is a single score."""
    if outputs.shape[1] > 1:
        best: Array = outputs.argmax(axis=1)
        return best
    return outputs[:, 0] if outputs.dtype.kind in "iu" else None


def figures(truth: Truth, outputs: Array) -> dict[str, float]:
    """Metrics of outputs [N, size]: real values, or integers if they are indices."""
    size = outputs.shape[1]
    if truth.kind == "targets":
        errors = outputs - truth.values
        return {"MSE": float(np.mean(np.square(errors))), "MAE": float(np.mean(np.abs(errors)))}
    if truth.kind == "binary":
        return {"AUC": auc(outputs[:, 0], truth.values)}
    found = answers(outputs)
    assert found is not None
    result = {"top-1": float(np.mean(found == truth.values))}
    if size > TOP:
        result[f"top-{TOP}"] = top_k(outputs, truth.values, TOP)
    if size == 2:
        result["AUC"] = auc(outputs[:, 1] - outputs[:, 0], truth.values)
    return result


def top_k(outputs: Array, classes: Array, k: int) -> float:
    """Share of the samples [N, C] whose class is among the k largest outputs, the first ones among equals."""
    own = np.take_along_axis(outputs, classes[:, np.newaxis], axis=1)
    earlier = np.arange(outputs.shape[1]) < classes[:, np.newaxis]
    ahead = (outputs > own) | ((outputs == own) & earlier)
    return float(np.mean(ahead.sum(axis=1) < k))


def auc(scores: Array, labels: Array) -> float:
    """Area under the ROC curve: how probably a sample of class 1 scores above one of class 0, equal scores counted
    half (Mann and Whitney's U); NaN where there is only one class."""
    positive = labels == 1
    ones, zeros = int(positive.sum()), int((~positive).sum())
    if not ones or not zeros:
        return math.nan
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    return float((ranks[inverse][positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def confusion(found: Array, classes: Array, count: int) -> list[list[int]]:
    """How often class `row` was taken for class `column`."""
    pairs = np.bincount(classes * count + found, minlength=count * count)
    table: list[list[int]] = pairs.reshape(count, count).tolist()
    return table


def class_count(truth: Truth | None, outputs: Iterable[Array]) -> tuple[int, list[str]]:
    """How many classes a confusion matrix of these outputs [N, size] has, 0 for none; notes."""
    if truth is None or truth.kind != "classes":
        return 0, []
    found = list(outputs)
    count = found[0].shape[1]
    if count == 1:  # indices
        count = int(max(truth.values.max(), *(array.max() for array in found))) + 1
    if count > MOST_CLASSES:
        return 0, [f"no confusion matrix: of {count:,} classes it would have too many numbers"]
    return count, []


def beside_float(
    found: Sequence[Array], exact: Sequence[Array], ports: Sequence[Mapping[str, Any]], classes: bool
) -> dict[str, float]:
    """How near integers come to the float model: the same class, and the outputs' SQNR."""
    result = {}
    ours, theirs = (answers(arrays[0].reshape(len(arrays[0]), -1)) for arrays in (found, exact))
    if classes and ours is not None and theirs is not None:
        result["agreement"] = float(np.mean(ours == theirs))
    noise = Noise()
    real = [i for i, port in enumerate(ports) if not is_index(port)]  # which have no noise
    for i in real:
        noise.add(exact[i], found[i])
    return result | ({"SQNR dB": noise.ratio} if real else {})


def reconstruction_auc(outputs: Any, labels: Array | None, inputs: Any) -> float:
    """Of an autoencoder: AUC of the mean squared error between input and output as the score of an anomaly."""
    if labels is None or labels.size != len(labels) or not np.isin(labels, (0, 1)).all():
        raise ValueError("it needs labels that are 0 (normal) or 1 (anomaly)")
    if not isinstance(outputs, np.ndarray) or not isinstance(inputs, np.ndarray):
        raise ValueError("it needs a model of one input and one output")
    if outputs.size != inputs.size:
        raise ValueError(f"the output's shape {outputs.shape[1:]} is not the input's {inputs.shape[1:]}")
    count = len(outputs)
    errors = outputs.reshape(count, -1) - inputs.reshape(count, -1)
    return auc(np.mean(np.square(errors), axis=1), labels.reshape(count))


# --- by name ---

NAMED: dict[str, Callable[..., Any]] = {"reconstruction-auc": reconstruction_auc}


@dataclass(frozen=True)
class Metric:
    """A metric that was asked for: what it is called in the report, how it was given, and the function
    (outputs, labels, inputs) or (outputs, labels) -> a number, or a dict of numbers."""

    name: str
    given: str
    function: Callable[..., Any]

    @property
    def wants_inputs(self) -> bool:
        try:
            inspect.signature(self.function).bind(None, None)
        except TypeError:
            return True
        except ValueError:  # a builtin without a signature
            return True
        return False

    def __call__(self, outputs: Any, labels: Array | None, inputs: Any) -> dict[str, float]:
        """Raises UsageError if the function fails, or gives something else than numbers."""
        try:
            with importable():
                given = (outputs, labels, inputs) if self.wants_inputs else (outputs, labels)
                result = self.function(*given)
        except (Exception, SystemExit) as error:  # a user's code
            raise UsageError("a metric has failed", [user_fault(self.given, error)]) from None
        named = result if isinstance(result, Mapping) else {"": result}
        try:
            return {f"{self.name}.{key}" if key else self.name: float(v) for key, v in named.items()}
        except (TypeError, ValueError):
            why = f"it returned {type(result).__name__}: {str(result)[:80]}"
            fault = Fault(self.given, why, "return a number, or a dict of numbers")
            raise UsageError("a metric has failed", [fault]) from None


def find_metrics(given: Sequence[Any]) -> tuple[list[Metric], list[Fault]]:
    """Metrics from names, `module:function` (found from the current folder) and, from Python, functions."""
    found: list[Metric] = []
    faults: list[Fault] = []
    for one in given:
        if callable(one):
            name = getattr(one, "__name__", type(one).__name__)
            found.append(Metric(name, name, one))
        elif str(one) in NAMED:
            found.append(Metric(str(one), str(one), NAMED[str(one)]))
        elif ":" in str(one):
            function = find_function(str(one))
            if isinstance(function, Fault):
                faults.append(function)
            elif not callable(function):
                faults.append(
                    Fault(str(one), "it is no function", "give a function (outputs, labels, inputs)")
                )
            else:
                found.append(Metric(str(one).rpartition(":")[2], str(one), function))
        else:
            fix = f"give {', '.join(NAMED)}, or module:function; the standard ones need no name"
            faults.append(Fault(str(one), "there is no metric of this name", fix))
    names = [metric.name for metric in found]
    return [
        Metric(m.given if names.count(m.name) > 1 else m.name, m.given, m.function) for m in found
    ], faults
