"""The model file beside the library that was built from it: float networks by noise, quantized ones byte by byte."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mcugen.convert.run import Converted
from mcugen.errors import Fault, UsageError
from mcugen.execute import States, rest, run_samples
from mcugen.ir import Array, DType, Graph
from mcugen.model_file import Model, read_model
from mcugen.normalise.annotations import annotated, show_annotations
from mcugen.quantize.ports import set_ports
from mcugen.read.onnx_run import OnnxRunner
from mcugen.simulate import as_bytes


@dataclass(frozen=True)
class OriginalReport:
    """The C beside the tensors of the quantized file it was built from. `first`: the first layer that differs."""

    layers: int
    compared: int
    different: int
    constant: (
        int  # channels that the C does not compute; the file's tensor must hold the known value everywhere
    )
    dead: int  # channels that nothing reads: neither computed nor compared
    first: str = ""


@dataclass(eq=False)
class Original:
    """A model file, its states while it runs, and for float ONNX the session that runs the file itself."""

    model: Model
    runner: OnnxRunner | None
    states: States = field(init=False)

    def __post_init__(self) -> None:
        self.states = rest(self.graph)

    @property
    def graph(self) -> Graph:
        return self.model.graph

    def run(self, reals: Sequence[Array]) -> list[Array]:
        """Outputs of a float model for samples [N, *input_shape]; its states go on from where they are."""
        if self.runner is not None:
            return self.outputs(reals, ())
        feeds = dict(zip(self.graph.inputs, reals, strict=True))
        chunks = run_samples(self.graph, feeds, self.states, exact=False)
        return self.outputs(reals, [{n: c[n] for n in self.graph.outputs} for c in chunks])

    def outputs(self, reals: Sequence[Array], ours: Sequence[Mapping[str, Array]]) -> list[Array]:
        """Outputs of a float model for samples [N, *input_shape]: by onnxruntime from ONNX; from .tflite what our
        own float references gave, chunk by chunk."""
        if self.runner is None:
            return [np.concatenate([chunk[name] for chunk in ours]) for name in self.graph.outputs]
        shapes = [self.graph.type(n).shape for n in self.graph.inputs]
        names = [i.name for i in self.runner.session.get_inputs()]
        samples = [
            {n: r[i].reshape(s) for n, r, s in zip(names, reals, shapes, strict=True)}
            for i in range(len(reals[0]))
        ]
        return self.runner.run(samples)


def load_original(manifest: Mapping[str, Any], path: Path, converted: Converted | None = None) -> Original:
    """Read the model file of a library. Raises UsageError if it is another, and what reading raises."""
    model = read_model(path, manifest["model"].get("signature"), converted)
    io = manifest.get("quantization", {}).get("io")
    if model.quantized and io:  # the library's inputs are its file's in another type
        model = replace(model, graph=set_ports(model.graph, DType(io)))
    if model.sha256 != manifest["model"]["sha256"]:
        why = f"its SHA-256 is not that of the {manifest['model']['file']} in the manifest"
        fix = "give the file that was built, or build this one"
        raise UsageError("--model is not the model of this library", [Fault(path.name, why, fix)])
    if annotated(model.graph):  # what the integers should be near to
        model = replace(model, graph=show_annotations(model.graph))
    runner = OnnxRunner(model.onnx.file, model.onnx.codes) if model.onnx is not None else None
    return Original(model, runner)


class IntegerComparison:
    """Adds up, chunk by chunk of samples, where the C's layers differ from the original's integers."""

    def __init__(self, original: Original, graph: Graph, layers: Sequence[Mapping[str, Any]]) -> None:
        names = [(e["output"]["tensor"], e["name"]) for e in layers]
        self.original = original
        self.graph = graph
        self.layers = [
            (i, tensor, name) for i, (tensor, name) in enumerate(names) if tensor in original.graph.tensors
        ]
        self.compared = self.different = 0
        self.first: tuple[int, str] | None = None

    def add(self, inputs: Mapping[str, Array], traces: Sequence[Array]) -> None:
        """int8 inputs [n, *shape] by name; what every layer of the C wrote, int8 [n, bytes]."""
        chunks = list(run_samples(self.original.graph, inputs, self.original.states))
        for index, tensor, name in self.layers:
            exact = np.concatenate([c[tensor] for c in chunks])
            channels = self.graph.tensors[tensor].channels
            if channels:
                for channel, value in channels.constant:
                    self._count(exact[..., channel] != value, index, name)
                exact = exact[..., list(channels.kept)]
            self._count(as_bytes(exact) != traces[index], index, name)

    def _count(self, difference: Array, index: int, name: str) -> None:
        self.compared += difference.size
        self.different += int(difference.sum())
        if difference.any() and (self.first is None or index < self.first[0]):
            self.first = (index, name)

    def report(self) -> OriginalReport:
        """All that was added."""
        dropped = [c for _, t, _ in self.layers if (c := self.graph.tensors[t].channels)]
        constant, dead = sum(len(c.constant) for c in dropped), sum(len(c.dead) for c in dropped)
        first = f'layer {self.first[0]} "{self.first[1]}"' if self.first else ""
        return OriginalReport(len(self.layers), self.compared, self.different, constant, dead, first)
