"""How good the answers are: float model, integer reference and C side by side on labelled data, in parallel."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mcugen.errors import Fault, UsageError
from mcugen.evaluation_work import Part, Place, Task, open_place, run_task
from mcugen.ir import Array
from mcugen.metrics import (
    Metric,
    answers,
    beside_float,
    class_count,
    confusion,
    figures,
    find_metrics,
    understand,
)
from mcugen.parallel import run_all
from mcugen.progress import Progress, Samples, silent, stage
from mcugen.score import Noise
from mcugen.simulate import dequantize_port
from mcugen.trust import check_ports
from mcugen.verify import LayerReport, Report, load_samples

REFERENCE_SAMPLES = 1000  # on which the integer reference runs, which numpy computes: all would take minutes
_SAMPLES_AT_ONCE = 256
_MACS_AT_ONCE = (
    1 << 28
)  # of one task, so that the bar moves and the last task does not keep the others waiting


@dataclass(frozen=True)
class Column:
    """One of the three that are compared: on how many samples, with which figures. Rows of the confusion matrix are
    labels, columns answers; None where labels are no classes."""

    samples: int
    metrics: dict[str, float]
    confusion: list[list[int]] | None


@dataclass(frozen=True)
class Evaluation:
    """What evaluate found. columns: "float" (if there is a model), "reference" (unless left out), "C". Bytes and
    layers: C against reference, on the reference's samples; SQNR of layers in dB against float."""

    name: str
    samples: int
    source: str
    columns: dict[str, Column]
    output_bytes: int
    output_different: int
    layers: tuple[LayerReport, ...]
    notes: tuple[str, ...]

    def _report(self) -> Report:
        return Report(
            self.name,
            self.samples,
            self.source,
            self.layers,
            self.output_bytes,
            self.output_different,
            None,
            self.notes,
        )

    @property
    def ok(self) -> bool:
        """Not one byte differs between C and reference, as far as they were compared."""
        return self._report().ok

    def check(self) -> None:
        """Raises VerifyError that names the first layer that differs."""
        self._report().check()


def evaluate(
    folder: str | Path,
    *,
    data: Any,
    model: str | Path | None = None,
    metrics: Sequence[str | Callable[..., Any]] = (),
    reference: int = REFERENCE_SAMPLES,
    executor: Executor | None = None,
    jobs: int | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Score the library that `build` wrote to `folder`.

    data: what `--data` takes, or from Python what `build` takes as calib, with labels as `y`; or a list of paths
    (or `module:function`), each of which the worker that evaluates it reads. model: the model file, for the float
    column. metrics: beside the standard ones, names, `module:function` or functions (outputs, labels, inputs) ->
    number or dict of numbers; outputs and inputs are float arrays [N, *shape], dicts by name if there are several.
    reference: on how many samples, spread over the data, the integer reference runs, 0 for none. jobs: processes,
    by default one for each processor. executor: works in their place; it is sent the library and the model.

    Raises McugenError's subclasses; bytes that differ are a result: see Evaluation.ok.
    """
    chosen, faults = find_metrics(metrics)
    if jobs is not None and jobs < 1:
        faults.append(Fault("jobs", f"{jobs} processes cannot work", "give 1 or more"))
    if reference < 0:
        faults.append(Fault("reference", f"{reference} samples cannot be", "give 0 or more"))
    if executor is not None and jobs is not None:
        faults.append(Fault("jobs", "an executor decides that itself", "give one of the two"))
    if faults:
        raise UsageError("evaluate cannot begin", faults)
    place, edited = Place.of(Path(folder), Path(model) if model is not None else None, executor is not None)
    with stage(progress, "compiling for this computer"):
        opened = open_place(place)
    check_ports(opened.library, opened.graph)
    notes = [*edited, *opened.notes]
    manifest = opened.library.manifest
    sequence = "all samples"
    labels: Array | None
    inputs: Mapping[str, Array] | None
    if _is_parts(data):
        sequence = "each part of the data"
        tasks = _tasks_of_parts(place, data, reference, any(metric.wants_inputs for metric in chosen))
        parts = _run(tasks, executor, jobs, progress, None)
        inputs, labels = _inputs_of(parts), _labels_of(parts)
        source = f"{len(parts)} parts ({sum(part.count for part in parts)} samples)"
        notes += dict.fromkeys(note for part in parts for note in part.notes)
    else:
        loaded = load_samples(opened.library.inputs, data)
        inputs, labels, source = loaded.arrays, loaded.labels, loaded.description
        notes += loaded.notes
        tasks = _tasks_of_arrays(place, inputs, loaded.count, reference, manifest)
        parts = _run(tasks, executor, jobs, progress, loaded.count)
    if manifest["memory"]["state"]:
        notes.append(f"the model has a state: {sequence} ran in order as one sequence, in one process")
    return _summary(opened.library.manifest, parts, labels, inputs, chosen, source, notes)


# --- tasks ---


def _is_parts(data: Any) -> bool:
    """Samples are never strings: a list of them names files."""
    return isinstance(data, list | tuple) and len(data) > 0 and all(isinstance(d, str | Path) for d in data)


def _tasks_of_parts(place: Place, data: Sequence[str | Path], reference: int, inputs: bool) -> list[Task]:
    checked = -(-reference // len(data))
    paths = [os.path.abspath(path) if os.path.exists(path) else str(path) for path in data]
    return [Task(place, path, checked, inputs) for path in paths]


def _tasks_of_arrays(
    place: Place, arrays: Mapping[str, Array], count: int, reference: int, manifest: Mapping[str, Any]
) -> list[Task]:
    step = max(1, min(_SAMPLES_AT_ONCE, _MACS_AT_ONCE // max(1, manifest["macs"])))
    if manifest["memory"]["state"]:
        step = count
    share = min(1.0, reference / count)  # of every task: data is often sorted by class
    tasks = []
    for i in range(0, count, step):
        end = min(count, i + step)
        checked = round(share * end) - round(share * i)
        tasks.append(Task(place, {n: a[i:end] for n, a in arrays.items()}, checked, inputs=False))
    return tasks


def _run(
    tasks: Sequence[Task],
    executor: Executor | None,
    jobs: int | None,
    progress: Progress,
    samples: int | None,
) -> list[Part]:
    """The parts in order; the faults of all that cannot be read are reported together. `samples`: how many there
    are in all, None if that is not known yet: progress counts tasks then."""
    found: dict[int, Part] = {}
    faults: list[Fault] = []

    def finished() -> Iterator[Any]:
        for index, part in run_all(run_task, tasks, executor, jobs):
            if isinstance(part, UsageError):
                faults.extend(part.faults)
            else:
                found[index] = part
            yield None if samples is None else {"samples": range(found[index].count)}

    for _ in progress(Samples(finished(), len(tasks) if samples is None else samples), "evaluating"):
        pass
    if faults:
        raise UsageError("the data cannot be read", faults)
    return [found[i] for i in range(len(tasks))]


def _inputs_of(parts: Sequence[Part]) -> dict[str, Array] | None:
    given = [part.inputs for part in parts if part.inputs is not None]
    return {name: np.concatenate([one[name] for one in given]) for name in given[0]} if given else None


def _labels_of(parts: Sequence[Part]) -> Array | None:
    labels = [part.labels for part in parts if part.labels is not None]
    if not labels:
        return None
    shapes = sorted({str(list(one.shape[1:])) for one in labels})
    if len(labels) == len(parts) and len(shapes) == 1:
        return np.concatenate(labels)
    why = f"{len(parts) - len(labels)} of {len(parts)} parts have none"
    if len(labels) == len(parts):
        why = f"those of one sample have different shapes: {', '.join(shapes)}"
    raise UsageError("the data cannot be read", [Fault("labels", why, "save the same kind in every part")])


# --- figures ---


def _summary(
    manifest: Mapping[str, Any],
    parts: Sequence[Part],
    labels: Array | None,
    inputs: Mapping[str, Array] | None,
    metrics: Sequence[Metric],
    source: str,
    notes: list[str],
) -> Evaluation:
    count = sum(part.count for part in parts)
    ports = manifest["outputs"]
    anomalies = any(metric.given == "reconstruction-auc" for metric in metrics)  # then labels are no classes
    truth, remarks = (None, []) if anomalies else understand(labels, count, ports[0])
    notes += remarks
    checked = np.concatenate([np.arange(part.count) < part.checked for part in parts])
    outputs = {name: _gather(parts, name, ports) for name in ("float", "reference", "C")}
    outputs = {name: found for name, found in outputs.items() if found}
    on = {name: checked if name == "reference" else np.ones(count, bool) for name in outputs}
    flat = {name: found[0].reshape(len(found[0]), -1) for name, found in outputs.items()}
    classes, remarks = class_count(truth, flat.values())
    notes += remarks
    columns = {}
    for name, found in outputs.items():
        mask = on[name]
        part = truth[mask] if truth else None
        values = figures(part, flat[name]) if part else {}
        if name != "float" and "float" in outputs:
            exact = [array[mask] for array in outputs["float"]]
            compare_classes = not anomalies and (truth is None or truth.kind == "classes")
            values |= beside_float(found, exact, ports, compare_classes)
        for metric in metrics:
            given = None if inputs is None else _named({n: a[mask] for n, a in inputs.items()})
            by_name = _named({port["name"]: a for port, a in zip(ports, found, strict=True)})
            values |= metric(by_name, None if labels is None else labels[mask], given)
        table = None
        if part and classes:
            classified = answers(flat[name])
            assert classified is not None
            table = confusion(classified, part.values, classes)
        columns[name] = Column(int(mask.sum()), values, table)
    if not columns["C"].metrics:
        notes.append("there is nothing to score by: give labels (an array `y`), a --model or a --metric")
    compared = [part for part in parts if part.checked]
    return Evaluation(
        manifest["name"],
        count,
        source,
        columns,
        sum(part.output_bytes for part in compared),
        sum(part.output_different for part in compared),
        tuple(_layer(entry, i, compared) for i, entry in enumerate(manifest["layers"]) if compared),
        tuple(notes),
    )


def _gather(parts: Sequence[Part], name: str, ports: Sequence[Mapping[str, Any]]) -> list[Array]:
    """All outputs of a column, [N, *shape] by port as real values; indices as integers; nothing if it did not run."""
    found = [part.outputs[name] for part in parts if name in part.outputs]
    if not found:
        return []
    arrays = [np.concatenate([chunk[i] for chunk in found]) for i in range(len(ports))]
    if name != "float":
        arrays = [dequantize_port(a, port) for a, port in zip(arrays, ports, strict=True)]
    return [a.reshape(len(a), *port["shape"]) for a, port in zip(arrays, ports, strict=True)]


def _named(arrays: dict[str, Array]) -> Any:
    """What a user's metric gets: the array if there is one, else all by name."""
    return next(iter(arrays.values())) if len(arrays) == 1 else arrays


def _layer(entry: Mapping[str, Any], i: int, parts: Sequence[Part]) -> LayerReport:
    noises = [part.noise[i] for part in parts]
    total = None
    if all(noise is not None for noise in noises):
        total = Noise()
        for noise in noises:
            assert noise is not None
            total.join(noise)
    compared, wrong = sum(part.compared[i] for part in parts), sum(part.wrong[i] for part in parts)
    ratio = total.ratio if total else None
    return LayerReport(entry["index"], entry["name"], entry["op"], compared, wrong, ratio)
