"""Settle layouts: transposes and reshapes are carried along as views and made real only where nothing else helps.

One walk in execution order. Every activation of the old graph is a View of a tensor of the new graph,
`reshape(transpose(base, perm), shape)`. Element-wise operators work on the base, axis-wise operators on
permuted axes, a dense layer permutes its weights; convolutions and pooling ask for exactly their layout, which
their import's transposes have made the base's own. What is left over at an output is materialised.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from mcugen.ir import Graph, Node, Tensor, TensorType
from mcugen.ops import OPS
from mcugen.ops.gather import gathered_axes
from mcugen.rewrite import live

LAYOUT = "layout"  # origin of the nodes that this pass adds


@dataclass(frozen=True)
class View:
    """reshape(transpose(base, perm), shape); perm is the identity if it leaves the order of bytes as it is."""

    base: str
    perm: tuple[int, ...]
    shape: tuple[int, ...]


def _keeps_order(shape: Sequence[int], perm: Sequence[int]) -> bool:
    """Whether a transpose moves only axes of size 1."""
    moved = [p for p in perm if shape[p] != 1]
    return moved == sorted(moved)


def _identity(rank: int) -> tuple[int, ...]:
    return tuple(range(rank))


class Layout:
    """State of the walk: the new graph so far, and the view that stands for each old tensor."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: list[Node] = []
        self.tensors: dict[str, Tensor] = {
            n: t for n, t in graph.tensors.items() if t.data is not None or n in graph.inputs
        }
        self.views = {n: View(n, _identity(len(t.shape)), t.shape) for n, t in self.tensors.items()}
        self.made: dict[View, str] = {}

    def shape(self, base: str) -> tuple[int, ...]:
        return self.tensors[base].shape

    def view(self, base: str, perm: Sequence[int], shape: Sequence[int]) -> View:
        if _keeps_order(self.shape(base), perm):
            perm = _identity(len(perm))
        return View(base, tuple(perm), tuple(shape))

    def emit(self, node: Node, source: str) -> str:
        """Append a node with one output; its name is made unique."""
        name = wanted = node.outputs[0]
        count = 1
        while name in self.tensors:
            name, count = f"{wanted}.{count}", count + 1
        node = replace(node, name=name, outputs=(name,))
        (ttype,) = OPS[node.op].infer(node, [self.tensors[i].type for i in node.inputs])
        self.tensors[name] = Tensor(name, ttype, source=source)
        self.nodes.append(node)
        return name

    def materialise(self, view: View) -> str:
        """The name of a tensor that holds the view's elements in the view's shape and order."""
        if view in self.made:
            return self.made[view]
        name, source = view.base, self.tensors[view.base].source
        if view.perm != _identity(len(view.perm)):
            turn = Node("", "transpose", (name,), (f"{name}/transpose",), {"perm": view.perm}, LAYOUT)
            name = self.emit(turn, source)
        if self.shape(name) != view.shape:
            shape = Node("", "reshape", (name,), (f"{name}/reshape",), {"shape": view.shape}, LAYOUT)
            name = self.emit(shape, source)
        self.made[view] = name
        return name

    def output(self, name: str, taken: Collection[str]) -> str:
        """A tensor of its own for an output of the graph, under the output's name in the model file."""
        source = self.graph.tensors[name].source
        made = self.materialise(self.views[name])
        if made in taken:
            attrs = {"shape": self.shape(made)}
            return self.emit(Node("", "reshape", (made,), (f"{made}/output",), attrs, LAYOUT), source)
        self.tensors[made] = replace(self.tensors[made], source=source)
        return made

    def turn_inputs(self) -> None:
        """Transpose channels-first inputs at once, if that is what all their readers do sooner or later."""
        readers = self.graph.consumers()
        for name in self.graph.inputs:
            shape = self.graph.type(name).shape
            perm = (0, *range(2, len(shape)), 1)
            if (
                len(shape) in (3, 4)
                and not _keeps_order(shape, perm)
                and _becomes_last(self.graph, name, readers)
            ):
                base = self.materialise(self.view(name, perm, tuple(shape[p] for p in perm)))
                back = (0, len(shape) - 1, *range(1, len(shape) - 1))
                self.views[name] = self.view(base, back, shape)

    def settle(self, name: str) -> View | None:
        """The view of an old tensor without a reshape, which from here on stands for it; None if there is none.

        Splits and merges of axes move to the base. Where a merge joins axes that are not neighbours there, one
        transpose makes them neighbours and leaves all others where they are.
        """
        view = self.views[name]
        if tuple(self.shape(view.base)[p] for p in view.perm) == view.shape:
            return view
        pieces = _common_pieces(view, self.shape(view.base))
        if pieces is None:
            return None
        fine = sorted(pieces)  # in the base's order
        groups: list[list[int]] = [[] for _ in view.shape]
        for piece in pieces:
            groups[piece.axis].append(fine.index(piece))
        places = _places(groups)
        sizes = (1, *(piece.size for piece in fine))  # behind the batch
        order = (0, *(1 + i for axis in places for i in groups[axis]))
        base = self.materialise(View(view.base, _identity(len(self.shape(view.base))), sizes))
        shape = tuple(view.shape[axis] for axis in places)
        base = self.materialise(self.view(base, order, shape))
        perm = tuple(places.index(axis) for axis in range(len(view.shape)))
        self.views[name] = self.view(base, perm, view.shape)
        return self.views[name]


class _Piece(NamedTuple):
    """A factor of one axis of the base and of one axis of the view: sorts in the base's order."""

    base_axis: int
    step: int
    size: int
    axis: int  # of the view


def _common_pieces(view: View, base_shape: Sequence[int]) -> list[_Piece] | None:
    """The factors that the transposed base's axes and the view's axes are both made of, in the view's order; None if
    an axis of one straddles axes of the other."""
    pieces: list[_Piece] = []
    axes = iter(a for a in enumerate(view.shape) if a[1] != 1)
    axis, left = 0, 1  # of the view
    for base_axis in view.perm:
        rest = base_shape[base_axis]
        while rest != 1:
            if left == 1:
                axis, left = next(axes)
            size = min(rest, left)
            if rest % size or left % size:
                return None
            pieces.append(_Piece(base_axis, len(pieces), size, axis))
            rest, left = rest // size, left // size
    return pieces


def _places(groups: Sequence[Sequence[int]]) -> list[int]:
    """The view's axes in the order of the base: by their first piece; axes of size 1 stay beside their neighbour."""
    keys: list[tuple[float, int]] = []
    last = -1.0
    for axis, group in enumerate(groups):
        if group:
            last = float(group[0])
            keys.append((last, axis))
        else:
            keys.append((-1.0 if axis == 0 else last + 0.5, axis))
    return [axis for _, axis in sorted(keys)]


# Whatever the order of axes.
_ELEMENTWISE = ("unary", "fake_quant", "add", "sub", "mul", "div", "minimum", "maximum", "prelu")
_CARRIES = (*_ELEMENTWISE, "pad", "mirror_pad", "gather", "slice", "concat")


def _becomes_last(graph: Graph, name: str, readers: Mapping[str, list[Node]]) -> bool:
    """Whether all readers of a channels-first tensor make it channels-last, be it behind other operators."""
    if not readers[name] or name in graph.outputs:
        return False
    shape = graph.type(name).shape
    for node in readers[name]:
        out = node.outputs[0]
        if node.op == "reshape" and len(shape) == 3 and graph.type(out).shape == (*shape, 1):  # a 1-D layer
            turned = all(n.op == "transpose" and tuple(n.attrs["perm"]) == (0, 2, 3, 1) for n in readers[out])
            ok = turned and out not in graph.outputs
        elif node.op == "transpose":
            ok = tuple(node.attrs["perm"]) == (0, 2, 3, 1)
        elif node.op in _CARRIES and len(graph.type(out).shape) == len(shape):
            ok = all(graph.is_constant(i) or i == name for i in node.inputs) and _becomes_last(
                graph, out, readers
            )
        else:
            ok = False
        if not ok:
            return False
    return True


Handler = Callable[[Layout, Node], View | None]


def _transpose(walk: Layout, node: Node) -> View | None:
    x = walk.settle(node.inputs[0])
    perm = node.attrs["perm"]
    shape = walk.graph.type(node.outputs[0]).shape
    if x is None:
        return walk.view(walk.materialise(walk.views[node.inputs[0]]), perm, shape)
    return walk.view(x.base, tuple(x.perm[p] for p in perm), shape)


def _reshape(walk: Layout, node: Node) -> View | None:
    x = walk.views[node.inputs[0]]
    shape = walk.graph.type(node.outputs[0]).shape
    return View(x.base, x.perm, shape)


def _unary(walk: Layout, node: Node) -> View | None:
    x = walk.views[node.inputs[0]]
    base = walk.emit(replace(node, inputs=(x.base,)), walk.graph.tensors[node.outputs[0]].source)
    return View(base, x.perm, x.shape)


def _aligned(walk: Layout, node: Node) -> tuple[tuple[str, ...], tuple[int, ...]] | None:
    """Inputs of an operator brought to one permutation: new names and the permutation that all share."""
    rank = len(walk.graph.type(node.outputs[0]).shape)
    active = [i for i in node.inputs if not walk.graph.is_constant(i)]
    views = {i: walk.settle(i) for i in active}
    if any(v is None or len(v.perm) != rank for v in views.values()):
        return None
    known = {i: v for i, v in views.items() if v is not None}
    turned = [v.perm for v in known.values() if v.perm != _identity(rank)]
    if not turned:
        return None
    perm = max(dict.fromkeys(turned), key=turned.count)
    inverse = tuple(int(i) for i in np.argsort(perm))
    names: dict[str, str] = {}
    for name in dict.fromkeys(node.inputs):
        if name in known:
            v = known[name]
            if v.perm == perm:
                names[name] = v.base
            else:
                turn = tuple(v.perm[p] for p in inverse)
                names[name] = walk.materialise(walk.view(v.base, turn, tuple(v.shape[p] for p in inverse)))
        else:
            data = walk.graph.constant(name)
            full = data.reshape((1,) * (rank - data.ndim) + data.shape)
            moved = np.ascontiguousarray(full.transpose(inverse))
            fresh = f"{name}/layout{len(walk.tensors)}"
            walk.tensors[fresh] = Tensor(fresh, TensorType(moved.shape, walk.graph.type(name).dtype), moved)
            names[name] = fresh
    return tuple(names[i] for i in node.inputs), perm


def _axes(change: Callable[[Node, tuple[int, ...]], Node | None]) -> Handler:
    """A handler for operators whose attributes name axes: `change` rewrites them for permuted operands."""

    def handler(walk: Layout, node: Node) -> View | None:
        rank = len(walk.graph.type(node.outputs[0]).shape)
        if any(len(walk.graph.type(i).shape) > rank for i in node.inputs):
            return None
        views = [walk.views[i] for i in node.inputs if not walk.graph.is_constant(i)]
        if all(v.perm == _identity(len(v.perm)) for v in views):
            return None
        probe = _aligned(walk, node)
        if probe is None:
            return None
        inputs, perm = probe
        changed = change(node, perm)
        if changed is None:
            return None
        out = walk.graph.tensors[node.outputs[0]]
        base = walk.emit(replace(changed, inputs=inputs), out.source)
        return walk.view(base, perm, out.shape)

    return handler


def _per_axis(*names: str) -> Callable[[Node, tuple[int, ...]], Node]:
    """Attributes that are tuples with one entry per axis."""

    def change(node: Node, perm: tuple[int, ...]) -> Node:
        inverse = np.argsort(perm)
        return node.with_attrs(**{n: tuple(node.attrs[n][i] for i in inverse) for n in names})

    return change


def _softmax(node: Node, perm: tuple[int, ...]) -> Node | None:
    return node if perm[-1] == len(perm) - 1 else None


def _reduction(walk: Layout, node: Node) -> View | None:
    x = walk.settle(node.inputs[0])
    if x is None or x.perm == _identity(len(x.perm)):
        return None
    axes = sorted(x.perm[a] for a in node.attrs["axes"])
    shape = walk.shape(x.base)
    inside = [a for a in range(axes[0], axes[-1] + 1) if shape[a] != 1] if axes else []
    if any(a not in axes for a in inside):
        return None  # the kernel reduces neighbouring axes
    out = walk.graph.tensors[node.outputs[0]]
    base = walk.emit(replace(node.with_attrs(axes=tuple(axes)), inputs=(x.base,)), out.source)
    if node.attrs["keepdims"]:
        return walk.view(base, x.perm, out.shape)
    left = [p for p in x.perm if p not in axes]
    perm = tuple(sorted(left).index(p) for p in left)
    return walk.view(base, perm, out.shape)


def _index(walk: Layout, node: Node) -> View | None:
    """As a reduction, where the indices then lie in order: they are int32, which no transpose moves."""
    x = walk.settle(node.inputs[0])
    if x is None:
        return None
    left = [p for p in x.perm if p != x.perm[node.attrs["axes"][0]] and walk.shape(x.base)[p] != 1]
    return _reduction(walk, node) if left == sorted(left) else None


def _fully_connected(walk: Layout, node: Node) -> View | None:
    """A dense layer behind a flattened, permuted tensor reads it in its own order, with permuted weights."""
    x = walk.views[node.inputs[0]]
    if x.perm == _identity(len(x.perm)) or math.prod(x.shape[:-1]) != 1:
        return None
    weights = walk.graph.tensors[node.inputs[1]]
    if weights.data is None or weights.data.shape[1] != x.shape[-1]:
        return None
    order = np.arange(x.shape[-1]).reshape(walk.shape(x.base)).transpose(x.perm).reshape(-1)
    moved = np.empty_like(weights.data)
    moved[:, order] = weights.data
    name = f"{weights.name}/layout{len(walk.tensors)}"
    walk.tensors[name] = Tensor(name, weights.type, moved, weights.source)
    flat = walk.materialise(View(x.base, _identity(len(walk.shape(x.base))), x.shape))
    out = walk.graph.tensors[node.outputs[0]]
    base = walk.emit(replace(node, inputs=(flat, name, *node.inputs[2:])), out.source)
    return View(base, _identity(len(out.shape)), out.shape)


def _concat_axis(node: Node, perm: tuple[int, ...]) -> Node:
    return node.with_attrs(axis=perm[node.attrs["axis"]])


def _gather(node: Node, perm: tuple[int, ...]) -> Node | None:
    moved = _per_axis("indices")(node, perm)
    axes = gathered_axes(moved.attrs["indices"])
    return moved if axes[-1] - axes[0] == len(axes) - 1 else None  # the kernel takes neighbouring axes


HANDLERS: dict[str, Handler] = {
    "transpose": _transpose,
    "reshape": _reshape,
    "unary": _unary,
    "requantize": _unary,
    "fake_quant": _unary,
    "add": _axes(lambda node, perm: node),
    "sub": _axes(lambda node, perm: node),
    "mul": _axes(lambda node, perm: node),
    "div": _axes(lambda node, perm: node),
    "minimum": _axes(lambda node, perm: node),
    "maximum": _axes(lambda node, perm: node),
    "prelu": _axes(lambda node, perm: node),
    "l2_norm": _axes(_softmax),
    "log_softmax": _axes(_softmax),
    "softmax": _axes(_softmax),
    "concat": _axes(_concat_axis),
    "pad": _axes(_per_axis("pads")),
    "mirror_pad": _axes(_per_axis("pads")),
    "gather": _axes(_gather),
    "slice": _axes(_per_axis("begin", "step", "size")),
    **dict.fromkeys(("arg_max", "arg_min"), _index),
    **dict.fromkeys(("mean", "sum", "reduce_max", "reduce_min"), _reduction),
    "fully_connected": _fully_connected,
}


def settle_layout(graph: Graph) -> Graph:
    """The graph with as few transposes as the walk can do with; inputs and outputs keep shape and order."""
    walk = Layout(graph)
    walk.turn_inputs()
    for node in graph.nodes:
        handler = HANDLERS.get(node.op)
        view = handler(walk, node) if handler else None
        out = graph.tensors[node.outputs[0]]
        if view is None:
            inputs = tuple(
                i if graph.is_constant(i) else walk.materialise(walk.views[i]) for i in node.inputs
            )
            base = walk.emit(replace(node, inputs=inputs), out.source)
            view = View(base, _identity(len(out.shape)), out.shape)
        walk.views[node.outputs[0]] = view
    outputs: list[str] = []
    for name in graph.outputs:
        outputs.append(walk.output(name, (*graph.inputs, *outputs)))
    result = replace(graph, outputs=tuple(outputs), nodes=tuple(walk.nodes), tensors=walk.tensors)
    return live(result)
