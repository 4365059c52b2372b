"""svdf in plain C for every core: four filters at a time, no scratch; one kernel per type of the state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.fixed import INT32_MAX
from mcugen.ir import DType, Graph, Node
from mcugen.kernels.kernel import Call, Kernel, Tables, Value, read_first_access
from mcugen.ops.svdf import STATE, svdf_multipliers


def feature_bound(node: Node, graph: Graph) -> int:
    """What no |feature| and no partial sum of it exceeds, before it is scaled."""
    zero_point = graph.type(node.inputs[0]).zero_point
    reach = max(127 - zero_point, 128 + zero_point)
    return int(np.abs(graph.constant(node.inputs[1]).astype(np.int64)).sum(axis=1).max() * reach)


def time_bound(node: Node, graph: Graph) -> int:
    """What no |sum over time| and no partial sum exceeds, the bias included, whatever the state holds."""
    time, bias = (graph.constant(name).astype(np.int64) for name in node.inputs[2:4])
    state = graph.type(node.inputs[STATE])
    limits = np.iinfo(state.dtype.numpy)
    reach = max(limits.max - state.zero_point, state.zero_point - limits.min)
    return int((np.abs(bias) + np.abs(time).reshape(len(bias), -1).sum(axis=1) * reach).max())


class SvdfPortable(Kernel):
    name = "svdf_portable"
    ops = ("svdf",)
    headers = ("mcugen_dot.h", "mcugen_wide.h")
    template = "svdf_portable"
    context: ClassVar[Mapping[str, str]] = {"type": "int8"}
    limits = ("features that fit 32 bits, proved from the weights",)
    kept: ClassVar[DType] = DType.INT8

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        state, bound = graph.type(node.inputs[STATE]).dtype, feature_bound(node, graph)
        if state is not self.kept:
            return f"it is for states of {self.kept}, not {state}"
        return f"its features can reach {bound:,}, which is beyond int32" if bound > INT32_MAX else None

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        features, time = (graph.type(name) for name in node.inputs[1:3])
        units = graph.type(node.outputs[0]).elements
        return 4.0 * features.elements + 8.0 * time.elements + 30.0 * features.shape[0] + 40.0 * units

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return (read_first_access(node, graph), None, None, None, None)

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        time = time_bound(node, graph)
        how = "beyond int32, where it wraps" if time > INT32_MAX else "proved from the weights"
        return (
            f"|feature| <= {feature_bound(node, graph):,}, proved from the weights",
            f"|sum over time| <= {time:,}, {how}",
        )

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        x, features, time, bias, state = node.inputs
        y, (filters, memory) = graph.type(node.outputs[0]), graph.type(time).shape
        for_features, for_time = svdf_multipliers(node, graph)
        fields: dict[str, Value] = {
            "features": tables.add(f"{layer}_features", graph.constant(features)),
            "time": tables.add(f"{layer}_time", graph.constant(time)),
            "bias": tables.add(f"{layer}_bias", graph.constant(bias)),
            "inputs": graph.type(x).elements,
            "filters": filters,
            "memory": memory,
            "units": y.elements,
            "unit": filters * memory // y.elements,
            "x_offset": -graph.type(x).zero_point,
            "feature_multiplier": for_features[0],
            "feature_shift": for_features[1],
            "state_zero_point": graph.type(state).zero_point,
            "multiplier": for_time[0],
            "shift": for_time[1],
            "y_zero_point": y.zero_point,
        }
        return [Call(fields, (x, state), node.outputs[0])]


class SvdfPortableInt16(SvdfPortable):
    name = "svdf_portable_int16"
    context = {"type": "int16"}
    kept = DType.INT16
