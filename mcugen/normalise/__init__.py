"""From the file's graph to the graph that is quantized: channels last, folded, fused, nothing unused."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mcugen.check import check_graph
from mcugen.ir import Graph
from mcugen.normalise.annotations import take_annotations
from mcugen.normalise.depthwise_form import depthwise_form
from mcugen.normalise.drop_expand import drop_expand
from mcugen.normalise.fold_affine import fold_affine
from mcugen.normalise.fuse_clamp import fuse_clamp
from mcugen.normalise.fuse_pad import fuse_pad
from mcugen.normalise.layout import settle_layout
from mcugen.normalise.merge_reshapes import merge_reshapes
from mcugen.normalise.name_tensors import name_tensors
from mcugen.normalise.read_states import read_states
from mcugen.normalise.scale_channels import scale_channels
from mcugen.normalise.unary_chains import fuse_unary
from mcugen.rewrite import live

PASSES = (
    drop_expand,
    settle_layout,
    merge_reshapes,
    fold_affine,
    scale_channels,
    merge_reshapes,
    fuse_clamp,
    fuse_unary,
    fuse_clamp,
    take_annotations,
    fuse_pad,
    depthwise_form,
    merge_reshapes,
    name_tensors,
)


TIDY = (  # exact on integers, too
    merge_reshapes,
    fuse_pad,
    depthwise_form,
    merge_reshapes,
    read_states,
    name_tensors,
)


def tidy(graph: Graph) -> Graph:
    """An integer graph as it was quantized elsewhere, without what costs and computes nothing; the same bytes."""
    return _run(TIDY, graph)


def normalise(graph: Graph) -> Graph:
    """The normalised float graph; same inputs and outputs, same function up to float rounding."""
    return _run(PASSES, graph)


def _run(passes: Iterable[Callable[[Graph], Graph]], graph: Graph) -> Graph:
    graph = check_graph(live(graph), "import")
    for graph_pass in passes:
        graph = check_graph(graph_pass(graph), graph_pass.__name__)
    return graph
