"""Have a model file converted: which Python does it, what it may take, and what its answer means."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mcugen.convert.recognise import PYTHON_VARIABLE, Source
from mcugen.errors import Fault, McugenError, ModelError, ToolError, UnsupportedError, UsageError
from mcugen.execute import run_samples
from mcugen.ir import Array, Graph
from mcugen.normalise.annotations import annotated, show_annotations
from mcugen.read.float_check import NOISE, TOLERANCE

TIMEOUT = 1200.0  # seconds; the frameworks alone take ten to start on a slow computer

_WORKER = Path(__file__).parent / "worker.py"
_OTHER_PYTHON = f"or say which Python has it: --converter-python PATH (or {PYTHON_VARIABLE})"
_ERRORS: dict[str, type[McugenError]] = {
    "missing": ToolError,
    "model": ModelError,
    "unsupported": UnsupportedError,
    "usage": UsageError,
}


@dataclass(frozen=True)
class Converted:
    """A converted file: its bytes, .tflite or ONNX, and of the user's own file the format and the hash. samples: what
    the framework itself computes, arrays `in:NAME` and `out:NAME` of [N, *shape]; nothing for quantized networks."""

    content: bytes
    format: str
    sha256: str
    notes: tuple[str, ...]
    samples: dict[str, Array]

    @property
    def signature(self) -> str | None:
        """The one of a .tflite file, whose inputs and outputs it calls as the user does."""
        return "serving_default" if self.content[4:8] == b"TFL3" else None


def convert(path: Path, source: Source, signature: str | None = None) -> Converted:
    """Converts a file or folder. `signature` chooses among those of a SavedModel.

    Raises UsageError, ModelError (damaged, or not fit for conversion), UnsupportedError (it holds Python code, or what
    the other format has not) and ToolError (no Python has the framework).
    """
    if signature is not None and source.format != "saved_model":
        why = "only .tflite files and SavedModels have signatures"
        raise UsageError("no such signature", [Fault("--signature", why, "leave it out")])
    digest = _hash(path)
    with tempfile.TemporaryDirectory(prefix="mcugen-") as work:
        target, result = Path(work) / "converted", Path(work) / "result.json"
        words = [source.framework, str(path.absolute()), str(target), str(result)]
        done = _run([_python(path, source), str(_WORKER), *words, *([signature] if signature else [])])
        answer = _answer(path, source, result, done)
        samples = Path(f"{result}.npz")
        arrays = dict(np.load(samples)) if samples.exists() else {}
        return Converted(target.read_bytes(), source.format, digest, tuple(answer["notes"]), arrays)


def _hash(path: Path) -> str:
    """Of a file's bytes; of a folder's files with their names, in order."""
    digest = hashlib.sha256()
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    try:
        for file in files:
            content = file.read_bytes()
            if path.is_dir():
                digest.update(f"{file.relative_to(path).as_posix()} {len(content)} ".encode())
            digest.update(content)
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def _python(path: Path, source: Source) -> str:
    """The Python that converts: the user's choice, or the first of ours and those in PATH that has the packages."""
    chosen = os.environ.get(PYTHON_VARIABLE)
    if chosen:
        found = shutil.which(chosen)
        if found is None:
            fix = "name the python of an environment, e.g. venv/bin/python"
            raise UsageError("no such Python", [Fault("--converter-python", f"{chosen} cannot be run", fix)])
        candidates = [found]
    else:
        named = [shutil.which(name) for name in ("python3", "python")]
        candidates = list(dict.fromkeys([sys.executable, *(n for n in named if n)]))
    lacking = {python: _lacking(python, source.packages) for python in candidates}
    for python, missing in lacking.items():
        if not missing:
            return python
    faults = [
        Fault(python, f"has no {', '.join(missing)}" if missing != ["?"] else "does not run")
        for python, missing in lacking.items()
    ]
    install = f"{candidates[0]} -m pip install {' '.join(source.packages)}"
    name = path.resolve().name
    lines = source.by_hand.format(name=name).replace("\n", "\n      ")
    advice = f"{install}\n      {_OTHER_PYTHON}\n      or convert it yourself and build what comes out:\n      {lines}"
    faults[-1] = Fault(faults[-1].where, faults[-1].why, advice)
    raise ToolError(f"{name} is {source.what}, which needs {source.packages[0]} to be converted", faults)


def _lacking(python: str, packages: Sequence[str]) -> list[str]:
    """Which packages a Python has not, without importing any; ["?"] if it does not run."""
    code = "import importlib.util, sys; print(*(p for p in sys.argv[1:] if not importlib.util.find_spec(p)))"
    try:
        done = subprocess.run(
            [python, "-c", code, *packages],
            cwd=_WORKER.parent.parent.parent,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ["?"]
    return done.stdout.split() if done.returncode == 0 else ["?"]


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ToolError(f"the conversion was stopped: it did not end within {TIMEOUT:g} s") from None
    except OSError as error:
        raise ToolError(f"{command[0]} cannot be started: {error.strerror}") from None


def _answer(
    path: Path, source: Source, result: Path, done: subprocess.CompletedProcess[str]
) -> dict[str, Any]:
    """What the worker wrote. Raises what it says, or ModelError if it died over the file."""
    name = path.resolve().name
    try:
        answer: dict[str, Any] = json.loads(result.read_text("utf-8"))
    except (OSError, ValueError):
        said = [line for line in done.stderr.splitlines() if line.strip()]
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
        why = f"the conversion ended with {how}: {said[-1].strip()[:300] if said else 'without a word'}"
        lines = source.by_hand.format(name=name).replace("\n", "\n      ")
        fix = f"try it yourself, and build what comes out:\n      {lines}"
        raise ModelError(f"{name} cannot be converted", [Fault("", why, fix)]) from None
    if "refused" in answer:
        faults = [Fault(*fault) for fault in answer["faults"]]
        raise _ERRORS[answer["refused"]](f"{name}, {source.what}, cannot be converted", faults)
    return answer


def check_conversion(converted: Converted, graph: Graph, name: str) -> None:
    """Raises ModelError if a float graph does not compute what the framework computed from the same samples; a graph
    with annotations may differ by a step here and there, as in read/float_check.py."""
    samples, rounded = converted.samples, annotated(graph)
    graph = show_annotations(graph)
    feeds = {}
    for tensor in graph.inputs:
        given = samples.get(f"in:{graph.tensors[tensor].source or tensor}")
        if given is None or given[0].size != graph.type(tensor).elements:
            return  # of another batch, or under another name
        feeds[tensor] = given.reshape(-1, *graph.type(tensor).shape)
    with np.errstate(all="ignore"):
        chunks = list(run_samples(graph, feeds, exact=False))
    faults = []
    for tensor in graph.outputs:
        shown = graph.tensors[tensor].source or tensor
        theirs = samples.get(f"out:{shown}")
        ours = np.concatenate([chunk[tensor] for chunk in chunks]).astype(np.float64)
        if theirs is None or theirs.size != ours.size or theirs.dtype.kind != "f":
            continue
        theirs = theirs.reshape(ours.shape)
        error = float(np.abs(ours - theirs).max(initial=0.0))
        if rounded and np.square(ours - theirs).mean() <= NOISE**2 * np.square(theirs).mean():
            continue
        if not error <= TOLERANCE * max(float(np.abs(theirs).max(initial=0.0)), 1e-6):
            faults.append(
                Fault(f'output "{shown}"', f"differs by {error:.3g} from what the framework computes")
            )
    if faults:
        raise ModelError(f"{name}: the conversion changed what the network computes", faults)
