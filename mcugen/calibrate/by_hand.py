"""Ranges that the user gives by hand, by a tensor's name in the model file or in the manifest.

Tensors that share a scale by rule (what a pooling reads and writes) share the range by hand of any of them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from mcugen.errors import Fault, UsageError
from mcugen.ir import Graph
from mcugen.ops import OPS
from mcugen.rewrite import index_tensors

Bounds = tuple[float, float]
_FORM = "give NAME=LO:HI, for example --range input=-1:1"


def parse_ranges(texts: Iterable[str]) -> dict[str, Bounds]:
    """{name: (lo, hi)} from words NAME=LO:HI; a name may hold both signs. Raises UsageError with all faults."""
    found: dict[str, Bounds] = {}
    faults = []
    for text in texts:
        name, _, numbers = text.rpartition("=")
        lo, _, hi = numbers.partition(":")
        try:
            bounds = float(lo), float(hi)
        except ValueError:
            faults.append(Fault(f"--range {text}", "is no range", _FORM))
            continue
        if not name:
            faults.append(Fault(f"--range {text}", "names no tensor", _FORM))
        elif found.get(name, bounds) != bounds:
            faults.append(Fault(f"--range {text}", f"{name!r} has another range, too", "give one of them"))
        found[name] = bounds
    if faults:
        raise UsageError(f"ranges by hand: {len(faults)} wrong", faults)
    return found


def _why_not(bounds: Any) -> str:
    """What is wrong with a range; "" if nothing is."""
    try:
        lo, hi = (float(b) for b in bounds)
    except (TypeError, ValueError):
        return f"{bounds!r} is no pair (lo, hi)"
    largest = float(np.finfo(np.float32).max)
    if not abs(lo) <= largest or not abs(hi) <= largest:
        return f"{lo:g} to {hi:g} is more than float32 can hold"
    return "" if lo < hi else f"{lo:g} is not below {hi:g}"


def _named(graph: Graph, name: str) -> list[str]:
    """The activations that a name means: the tensor of that name, else all that came from it in the file."""
    active = [n for n, t in graph.tensors.items() if t.data is None]
    return [name] if name in active else [n for n in active if graph.tensors[n].source == name]


def _nearest(graph: Graph, name: str) -> str:
    active = [t for t in graph.tensors.values() if t.data is None]
    known = dict.fromkeys(word for t in active for word in (t.source, t.name) if word)
    near = difflib.get_close_matches(name, known, 3, 0.4) or list(known)[:3]
    return f"did you mean {' or '.join(near)}?"


def match_ranges(given: Mapping[str, Any], graph: Graph) -> dict[str, Bounds]:
    """The ranges by activation. Raises UsageError naming every range that is none, and every name without a tensor,
    or with one that no range can change."""
    fixed = {n.outputs[0] for n in graph.nodes if OPS[n.op].fixed_quant(n) is not None}
    indices = index_tensors(graph)
    faults, found = [], {}
    for name, bounds in given.items():
        where, why, fix = f'range of "{name}"', _why_not(bounds), "give (lo, hi) with lo < hi"
        names = _named(graph, name)
        if not names:
            why, fix = "the model has no such activation after its layers are fused", _nearest(graph, name)
        elif fixed.intersection(names) or any(n in indices for n in names):
            why, fix = "its scale is fixed by its operator", "leave this range out"
        if why:
            faults.append(Fault(where, why, fix))
        else:
            found.update(dict.fromkeys(names, (float(bounds[0]), float(bounds[1]))))
    if faults:
        raise UsageError(f"ranges by hand: {len(faults)} wrong", faults)
    return found
