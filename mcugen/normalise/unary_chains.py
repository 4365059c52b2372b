"""Merge chains and diamonds of element-wise functions of one tensor into one unary node, thus one table.

`x * sigmoid(x)`, a decomposed GELU or hard swish, a chain of scalar products and activations: wherever the
tensors between are used for nothing else. Known functions get their name back (ops/functions.py).
"""

from __future__ import annotations

from dataclasses import replace

from mcugen.ir import Graph, Node
from mcugen.ops.add import uniform
from mcugen.ops.functions import Expression, X, compose, recognise, size
from mcugen.ops.op import NO_CLAMP, clamp_of
from mcugen.rewrite import fused_origins, with_nodes

SIZE_LIMIT = 64  # of an expression: each use of x repeats all that x is
STAGE_LIMIT = 12  # nodes between two tensors through which all must go, for the same reason

# Element-wise operators and what they are in an expression.
FUNCTION_OF = {
    "unary": "",
    **{name: name for name in ("add", "sub", "mul", "div")},
    "minimum": "min",
    "maximum": "max",
}


def fuse_unary(graph: Graph) -> Graph:
    """The graph with every largest one-input element-wise part as one node; outputs keep their names."""
    walk = _Walk(graph)
    swallowed: set[str] = set()
    made: dict[str, Node] = {}
    for node in reversed(graph.nodes):
        if node.name in swallowed or not walk.pointwise(node):
            continue
        found = walk.largest(node)
        if found is None:
            continue
        function, root, members = found
        swallowed.update(m.name for m in members[1:])
        fused = fused_origins(*members)
        made[node.name] = replace(node, op="unary", inputs=(root,), attrs={"function": function}, fused=fused)
    nodes = [made.get(n.name, n) for n in graph.nodes if n.name not in swallowed]
    return with_nodes(graph, nodes)


class _Walk:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.producers = graph.producers()
        self.consumers = graph.consumers()
        self.order = {node.name: i for i, node in enumerate(graph.nodes)}

    def operands(self, node: Node) -> list[str | float] | None:
        """Inputs of an element-wise node, numbers for constants that are one; None for any other node."""
        if node.op not in FUNCTION_OF:
            return None
        shape = self.graph.type(node.outputs[0]).shape
        result: list[str | float] = []
        for name in node.inputs:
            number = uniform(self.graph.tensors[name].data)
            if number is not None:
                result.append(number)
            elif self.graph.is_constant(name) or self.graph.type(name).shape != shape:
                return None
            else:
                result.append(name)
        return result

    def pointwise(self, node: Node) -> bool:
        return self.operands(node) is not None

    def own_expression(self, node: Node, known: dict[str, Expression]) -> Expression:
        """The node as an expression, its operands' tensors by their expressions."""
        operands = [known[o] if isinstance(o, str) else o for o in self.operands(node) or ()]
        if node.op == "unary":
            return compose(node.attrs["function"], operands[0])
        return _clamped((FUNCTION_OF[node.op], *operands), node)

    def largest(self, sink: Node) -> tuple[Expression, str, list[Node]] | None:
        """The largest part from one tensor to `sink`: its function, that tensor, its nodes from `sink` on."""
        members = [sink]
        best: tuple[Expression, str, list[Node]] | None = None
        function, stage = X, 0  # of the best so far, and how many members it has
        while len(members) - stage <= STAGE_LIMIT:
            inside = {m.outputs[0] for m in members}
            roots = {o for m in members for o in self.operands(m) or () if isinstance(o, str)} - inside
            if len(roots) == 1:
                (root,) = roots
                inner = self._between(root, members[stage:], inside)
                function, stage = compose(function, inner), len(members)
                if size(function) > SIZE_LIMIT:
                    return best
                best = (function, root, list(members))
            following = self._next(roots, members)
            if following is None:
                return best
            members.append(following)
        return best

    def _between(self, root: str, members: list[Node], inside: set[str]) -> Expression:
        """What the last part's nodes make of `root`."""
        known: dict[str, Expression] = {root: X}
        for node in sorted(members, key=lambda m: self.order[m.name]):
            known[node.outputs[0]] = self.own_expression(node, known)
        return known[members[0].outputs[0]]

    def _next(self, roots: set[str], members: list[Node]) -> Node | None:
        """The last element-wise node before the members that only they read."""
        names = {m.name for m in members}
        producers = [
            self.producers[r]
            for r in roots
            if r in self.producers
            and r not in self.graph.outputs
            and all(user.name in names for user in self.consumers[r])
            and self.pointwise(self.producers[r])
        ]
        return max(producers, key=lambda p: self.order[p.name], default=None)


def _clamped(function: Expression, node: Node) -> Expression:
    clamp = clamp_of(node)
    return recognise(function) if clamp == NO_CLAMP else compose(("clip", X, *clamp), function)
