"""One dense vector of int16 by int8 on the DSP extension, of few outputs: fully_connected_rows_dsp with inputs that are
pairs of int16 as they lie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from mcugen.boards import Board
from mcugen.ir import Array, DType, Graph, Node
from mcugen.kernels.conv2d_dsp import block_channels
from mcugen.kernels.conv2d_int16x8_dsp import channel_records
from mcugen.kernels.conv2d_portable import geometry
from mcugen.kernels.fully_connected_dsp import reject_pixels
from mcugen.kernels.fully_connected_rows_dsp import FullyConnectedRowsDsp, row_weights, rows_at_a_time
from mcugen.kernels.kernel import Call, Tables, Value
from mcugen.kernels.output_int16_dsp import ShortForm, short_rescaling


def pair_bytes(words: Array) -> Array:
    """Words of weights 0, 1, 2, 3 as 0, 2, 1, 3: SXTB16 makes pairs of neighbours of them."""
    fours = np.ascontiguousarray(words).view(np.uint8).reshape(*words.shape, 4)[..., [0, 2, 1, 3]]
    return np.ascontiguousarray(fours).view("<u4")[..., 0].astype(np.uint32)


class FullyConnectedRowsInt16x8Dsp(FullyConnectedRowsDsp):
    name = "fully_connected_rows_int16x8_dsp"
    template = "fully_connected_rows_dsp"
    types = ((DType.INT16, DType.INT16),)
    limits = (
        "one vector, or a window that is the whole input",
        "sums and scales for which one multiplication gives the exact result",
    )
    headers = ("mcugen_int16.h", "mcugen_wide.h", "mcugen_dsp.h", "mcugen_output_int16_dsp.h")
    context: ClassVar[Mapping[str, Any]] = {"int16": True}

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        short = f"not {self.limits[1]}" if short_rescaling(node, graph) is None else None
        return reject_pixels(node, graph) or short

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        """As measured on the Cortex-M4, within some percent."""
        g, short = geometry(node, graph), short_rescaling(node, graph)
        assert short is not None
        depth, rows = g.kernel[0] * g.kernel[1] * g.x_channels, rows_at_a_time(node, graph)
        store = 24 if short.form is ShortForm.SHIFTED else 18
        fours = (depth % 8 >= 4) + (depth % 4 > 0)
        inner = depth // 8 * (10 + 10.3 * rows) + fours * (20 + 10 * rows)
        return 30.0 + len(block_channels(g.y_channels, rows)) * (35 + store * rows + inner)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        g, short = geometry(node, graph), short_rescaling(node, graph)
        assert short is not None
        fields: dict[str, Value] = {
            "weights": tables.add(f"{layer}_weights", pair_bytes(row_weights(node, graph))),
            "channels": tables.add(
                f"{layer}_channels", channel_records(short, graph.constant(node.inputs[2]))
            ),
            "flags": short.flags,
            "depth": g.kernel[0] * g.kernel[1] * g.x_channels,
            "y_channels": g.y_channels,
        }
        return [Call(fields, (node.inputs[0],), node.outputs[0])]
