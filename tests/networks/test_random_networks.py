"""Random whole networks through the whole pipeline: onnxruntime agrees with the import, the C with the reference."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_kernel
from onnx_net import loaded, smooth_samples
from random_networks import random_model

from mcugen.calibrate.ranges import calibrate
from mcugen.ir import Graph
from mcugen.normalise import normalise
from mcugen.pipeline import compile_graph
from mcugen.read.float_check import check_import
from mcugen.read.onnx_import import import_model

COUNT = 32
TOGETHER = 16  # networks in one compilation
SANITIZED = (("gcc", ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")),)


def _compiled(seed: int) -> Graph:
    model = random_model(seed)
    imported = import_model(loaded(model))
    graph = normalise(imported.graph)
    check_import(imported, graph)
    rng = np.random.default_rng(seed)
    samples = {n: smooth_samples(rng, 16, graph.type(n).shape[1:]) for n in graph.inputs}
    integer = compile_graph(graph, calibrate(graph, samples))
    assert [integer.tensors[n].source for n in integer.outputs] == [o.name for o in model.graph.output]
    return integer


@pytest.mark.parametrize("first", range(0, COUNT, TOGETHER))
def test_random_networks(first: int) -> None:
    graphs = [_compiled(seed) for seed in range(first, first + TOGETHER)]
    assert sum(len(g.nodes) for g in graphs) > 5 * TOGETHER
    check_kernel(graphs, 6, builds=SANITIZED)


def test_the_generator_repeats_itself() -> None:
    assert random_model(7).SerializeToString() == random_model(7).SerializeToString()
    assert len({random_model(seed).SerializeToString() for seed in range(10)}) == 10
