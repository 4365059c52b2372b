"""mul in plain C for every core without 64-bit products where that is exact, with broadcasting; in place over an
operand of the output's size."""

from __future__ import annotations

from mcugen.ir import Graph, Node
from mcugen.kernels.add_linear import _Pairwise
from mcugen.kernels.kernel import Value
from mcugen.short_form import PRODUCT_BITS, product_form


class MulLinear(_Pairwise):
    name = "mul_linear"
    ops = ("mul",)
    limits = (
        "scales for which products of 32 bits give the exact result",
        "at most 6 nested loops after merging axes",
    )
    context = {"product_bits": str(PRODUCT_BITS)}
    each = 17.0

    def form_fields(self, node: Node, graph: Graph) -> dict[str, Value] | None:
        form = product_form(node, graph)
        if form is None:
            return None
        a, b = (graph.type(i) for i in node.inputs)
        return {"a_offset": -a.zero_point, "b_offset": -b.zero_point, **vars(form)}
