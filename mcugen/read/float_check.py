"""The independent check of every import: onnxruntime runs the original file, we run the normalised graph."""

from __future__ import annotations

import numpy as np

from mcugen.errors import Fault, InternalError
from mcugen.execute import outputs
from mcugen.ir import Array, Graph
from mcugen.read.onnx_import import ImportedModel
from mcugen.read.onnx_run import OnnxRunner

SAMPLES = 3
TOLERANCE = 1e-3  # of the output's largest magnitude: float32 sums in another order


def check_import(imported: ImportedModel, graph: Graph) -> None:
    """Raises InternalError naming the outputs that differ by more than float rounding explains."""
    rng = np.random.default_rng(0)
    shapes = {name: graph.type(name).shape for name in graph.inputs}
    feeds: dict[str, Array] = {
        name: rng.standard_normal((SAMPLES, *shape)).astype(np.float32) for name, shape in shapes.items()
    }
    with np.errstate(all="ignore"):
        ours = outputs(graph, feeds)
    theirs = OnnxRunner(imported.file).run(
        [{n: np.asarray(f[i]) for n, f in feeds.items()} for i in range(SAMPLES)]
    )
    faults = []
    for index, name in enumerate(graph.outputs):
        a, b = ours[name].astype(np.float64), theirs[index].astype(np.float64)
        if a.size != b.size:
            faults.append(Fault(f'output "{name}"', f"has {a.size} elements, onnxruntime gives {b.size}"))
            continue
        b = b.reshape(a.shape)
        bad = ~np.isfinite(b)
        a, b = np.where(bad, 0, a), np.where(bad, 0, b)
        error, reach = float(np.abs(a - b).max(initial=0)), float(np.abs(b).max(initial=0))
        if not error <= TOLERANCE * max(reach, 1e-6):
            faults.append(Fault(f'output "{name}"', f"differs by {error:.3g} from onnxruntime's {reach:.3g}"))
    if faults:
        raise InternalError(
            "the imported graph does not compute what the file says; please report it", faults
        )
