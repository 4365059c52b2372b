"""resize_bilinear in plain C for every core: one output pixel at a time, no scratch, row range."""

from __future__ import annotations

import numpy as np

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import Graph, Node
from mcugen.kernels.kernel import Call, Kernel, Tables, Value, row_access
from mcugen.ops.resize_bilinear import BITS, integer_places


class ResizeBilinearPortable(Kernel):
    name = "resize_bilinear_portable"
    ops = ("resize_bilinear",)
    limits = ("a batch of 1",)

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        y = graph.type(node.outputs[0])
        return 22.0 * y.elements + 50.0 * y.elements / y.shape[3]

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        _, h, w, c = graph.type(node.inputs[0]).shape
        n, ho, wo, _ = graph.type(node.outputs[0]).shape
        if n != 1:
            return (None,)
        step, begin, limit = integer_places(node, graph, 0)
        places = np.clip(np.arange(ho, dtype=np.int64) * step + begin, 0, limit)
        upper = -(-places // (1 << BITS))
        return (row_access(h, w * c, ho, wo * c, places >> BITS, upper + 1),)

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        return None if graph.type(node.inputs[0]).shape[0] == 1 else "a batch of images"

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        _, _, w, c = graph.type(node.inputs[0]).shape
        fields: dict[str, Value] = {"x_width": w, "channels": c, "y_width": node.attrs["size"][1]}
        for axis, name in enumerate(("row", "column")):
            step, begin, limit = integer_places(node, graph, axis)
            fields |= {f"{name}_step": step, f"{name}_begin": begin, f"{name}_limit": limit}
        return [Call(fields, (node.inputs[0],), node.outputs[0], rows=node.attrs["size"][0])]
