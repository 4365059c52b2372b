"""resize_bilinear in float32 for every core: one output pixel at a time, places from tables, row range."""

from __future__ import annotations

import numpy as np

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import DType, Graph, Node
from mcugen.kernels.kernel import Call, Kernel, Tables, Value, row_access
from mcugen.ops.resize_bilinear import float_places


class ResizeBilinearFloat(Kernel):
    name = "resize_bilinear_float"
    ops = ("resize_bilinear",)
    types = ((DType.FLOAT32, DType.FLOAT32),)
    headers = ("mcugen_float.h", "mcugen_wide.h")
    limits = ("a batch of 1",)

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        return None if graph.type(node.inputs[0]).shape[0] == 1 else "a batch of images"

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        y = graph.type(node.outputs[0])
        return 30.0 * y.elements + 60.0 * y.elements / y.shape[3]

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        _, h, w, c = graph.type(node.inputs[0]).shape
        n, ho, wo, _ = graph.type(node.outputs[0]).shape
        if n != 1:
            return (None,)
        lower, fraction = float_places(node, graph, 0)
        return (row_access(h, 4 * w * c, ho, 4 * wo * c, lower, lower + 1 + (fraction > 0)),)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        _, _, w, c = graph.type(node.inputs[0]).shape
        fields: dict[str, Value] = {"x_width": w, "channels": c, "y_width": node.attrs["size"][1]}
        for axis, name in enumerate(("row", "column")):
            lower, fraction = float_places(node, graph, axis)
            fields[f"{name}s"] = tables.add(f"{layer}_{name}s", lower.astype(np.int16))
            fields[f"{name}_parts"] = tables.add(f"{layer}_{name}_parts", fraction)
        return [Call(fields, (node.inputs[0],), node.outputs[0], rows=node.attrs["size"][0])]
