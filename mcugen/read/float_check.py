"""The independent check of every import: onnxruntime runs the original file, we run the normalised graph.

A file that quantizes its activations is run so by both. Where sums in another order fall on another side of a half, a
step differs, and all behind it a little: such outputs are compared by their noise, with the output's size and with
the noise that the annotations make.
"""

from __future__ import annotations

import numpy as np

from mcugen.errors import Fault, InternalError
from mcugen.execute import run_samples
from mcugen.ir import Array, Graph, Node
from mcugen.normalise.annotations import annotated, show_annotations, without_annotations
from mcugen.read.onnx_import import ImportedModel
from mcugen.read.onnx_run import OnnxRunner
from mcugen.rewrite import index_tensors

SAMPLES = 3
NOISE = 0.1  # of the output's root mean square, where activations are rounded
FLIPS = 4.0  # times the noise of rounding them: steps on another side, and roundings that are ours alone (softmax)
STEPS = 3.0  # of an annotated output that may always differ
TOLERANCE = 1e-3  # of the output's largest magnitude: float32 sums in another order


def _found(graph: Graph, node: Node, values: dict[str, Array], index: Array) -> Array:
    """The elements that indices point at: indices may differ where elements are equal but for rounding."""
    x, axis = values[node.inputs[0]].astype(np.float64), node.attrs["axes"][0] + 1
    places = index.astype(np.int64).reshape(*x.shape[:axis], 1, *x.shape[axis + 1 :])
    found = np.take_along_axis(x, np.clip(places, 0, x.shape[axis] - 1), axis)
    return np.where((places >= 0) & (places < x.shape[axis]), found, np.nan)


def _rms(x: Array) -> float:
    return float(np.sqrt(np.square(x).mean())) if x.size else 0.0


def check_import(imported: ImportedModel, graph: Graph) -> None:
    """Raises InternalError naming the outputs that differ by more than float rounding explains."""
    steps = {n: q.scale[0] for n in graph.outputs if (q := graph.type(n).quant) is not None}
    graph, plain, rounded = show_annotations(graph), graph, annotated(graph) or imported.dynamic
    rng = np.random.default_rng(0)
    shapes = {name: graph.type(name).shape for name in graph.inputs}
    feeds: dict[str, Array] = {
        name: rng.standard_normal((SAMPLES, *shape)).astype(np.float32) for name, shape in shapes.items()
    }
    with np.errstate(all="ignore"):
        chunks = list(run_samples(graph, feeds, exact=False))
        smooth = list(run_samples(without_annotations(plain), feeds, exact=False)) if rounded else chunks
    indices = index_tensors(graph)
    searched = {indices[n].inputs[0] for n in graph.outputs if n in indices}
    ours = {n: np.concatenate([c[n] for c in chunks]) for n in {*graph.outputs, *searched}}
    theirs = OnnxRunner(imported.file, imported.codes).run(
        [{graph.tensors[n].source or n: np.asarray(f[i]) for n, f in feeds.items()} for i in range(SAMPLES)]
    )
    faults = []
    for index, name in enumerate(graph.outputs):
        a, b = ours[name].astype(np.float64), theirs[index].astype(np.float64)
        if a.size != b.size:
            faults.append(Fault(f'output "{name}"', f"has {a.size} elements, onnxruntime gives {b.size}"))
            continue
        b = b.reshape(a.shape)
        if name in indices:
            a, b = (_found(graph, indices[name], ours, i) for i in (a, b))
        bad = ~np.isfinite(b)
        a, b = np.where(bad, 0, a), np.where(bad, 0, b)
        error, reach = float(np.abs(a - b).max(initial=0)), float(np.abs(b).max(initial=0))
        if rounded and error <= STEPS * steps.get(name, 0.0):
            continue
        noise = ours[name] - np.concatenate([c[name] for c in smooth]) if name not in indices else np.zeros(1)
        if rounded and _rms(a - b) <= max(NOISE * _rms(b), FLIPS * _rms(noise)):
            continue
        if not error <= TOLERANCE * max(reach, 1e-6):
            faults.append(Fault(f'output "{name}"', f"differs by {error:.3g} from onnxruntime's {reach:.3g}"))
    if faults:
        raise InternalError(
            "the imported graph does not compute what the file says; please report it", faults
        )
