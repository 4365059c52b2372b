"""`mcugen analyze --explain`: every layer's kernels, what each would take, and why one won."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mcugen.choice import Candidate, Decision, Optimize
from mcugen.report.text import Rows, console

OTHER_CORE = "for other cores"


def explained(decision: Decision, layers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """`choice`: the aim, its limits and totals; `layers`: those of the manifest, each with `candidates`.

    A candidate has `kernel`, `chosen` and `why`; where it can run the layer also `function` (layers with the same one
    share its code), `cycles` (an estimate), `constants`, `code` and `scratch` in bytes, and `arena`: bytes that live
    while the layer runs, at least.
    """
    costs, goal = decision.choice, decision.goal
    return {
        "choice": {
            "optimize": decision.optimize.value,
            "cycles": costs.cycles(decision.picked),
            "flash": costs.bytes(decision.picked),
            "arena": decision.storage.arena,
            "arena_limit": decision.arena_limit,
            "flash_limit": decision.flash_limit,
            "cycles_per_byte": goal.per_byte / goal.per_cycle if goal.per_cycle else None,
        },
        "layers": [{**layer, "candidates": _of_layer(decision, i)} for i, layer in enumerate(layers)],
    }


def _of_layer(decision: Decision, i: int) -> list[dict[str, Any]]:
    """The chosen kernel first, then the others by name, then those that cannot."""
    able, picked = decision.candidates[i], decision.picked[i]
    order = [picked, *(k for k in range(len(able)) if k != picked)]
    rows = [
        _able(able[k], k == picked, _won(decision, i) if k == picked else _lost(decision, i, k))
        for k in order
    ]
    option = decision.options[i]
    others = [*option.reasons.items(), *((name, OTHER_CORE) for name in option.foreign)]
    return rows + [{"kernel": name, "chosen": False, "why": why} for name, why in sorted(others)]


def _able(candidate: Candidate, chosen: bool, why: str) -> dict[str, Any]:
    return {
        "kernel": candidate.layer.kernel.name,
        "chosen": chosen,
        "why": why,
        "function": candidate.item.function,
        "cycles": candidate.item.cycles,
        "constants": candidate.item.bytes,
        "code": candidate.code,
        "scratch": candidate.scratch,
        "arena": candidate.arena,
    }


def _rate(cycles: float) -> str:
    return f"{cycles:,.0f}" if cycles >= 10 else f"{cycles:.2g}"


def _forbidden(decision: Decision, i: int, k: int) -> str | None:
    """Why a kernel was no candidate at all: RAM."""
    limit, arena = decision.arena_limit, decision.candidates[i][k].arena
    if (i, k) in decision.excluded:
        return f"with it the arena came to {decision.excluded[i, k]:,} bytes, {limit:,} are allowed"
    if limit is not None and arena > limit:
        return f"needs {arena:,} bytes of arena, {limit:,} are allowed"
    return None


def _won(decision: Decision, i: int) -> str:
    able, item = decision.candidates[i], decision.candidates[i][decision.picked[i]].item
    if len(able) == 1:
        return "the only one"
    if item.cycles == min(c.item.cycles for c in able):
        return "fewest cycles"
    allowed = [c.item.cycles for k, c in enumerate(able) if _forbidden(decision, i, k) is None]
    if item.cycles == min(allowed, default=item.cycles):
        return "fewest cycles in the arena"
    if decision.optimize is Optimize.SIZE:
        return "least flash"
    if decision.optimize is Optimize.BALANCED:
        return f"a byte of flash must save {_rate(decision.goal.per_byte)} cycles"
    return "fewest cycles in the flash"


def _lost(decision: Decision, i: int, k: int) -> str:
    """What would be otherwise, were this kernel taken and the other layers left as they are."""
    why = _forbidden(decision, i, k)
    if why is not None:
        return why
    costs, picked = decision.choice, decision.picked
    other = (*picked[:i], k, *picked[i + 1 :])
    cycles, size = costs.cycles(other) - costs.cycles(picked), costs.bytes(other) - costs.bytes(picked)
    if not costs.fits(other):
        return f"{costs.bytes(other):,} bytes of flash, {decision.flash_limit:,} are allowed"
    if not cycles and not size:
        return "equal, but later by name"
    parts = [f"{cycles:+,} cycles"] * bool(cycles) + [f"{size:+,} bytes of flash"] * bool(size)
    rate = ""
    if cycles * size < 0 and decision.optimize is Optimize.BALANCED:
        rate = f" ({_rate(abs(cycles / size))} cycles a byte)"
    return ", ".join(parts) + rate


def print_explained(result: Mapping[str, Any]) -> None:
    """A table of all kernels of all layers, the chosen ones marked, and the totals."""
    numbers = ("cycles", "constants", "code", "scratch", "arena")
    table = Rows("layer", "", "kernel", *numbers, "why", right=("layer", *numbers), optional=("arena",))
    for layer in result["layers"]:
        for number, candidate in enumerate(layer["candidates"]):
            table.add_row(
                "" if number else str(layer["index"]),
                "*" if candidate["chosen"] else "",
                candidate["kernel"],
                *(f"{candidate[n]:,}" if n in candidate else "-" for n in numbers),
                candidate["why"],
            )
    table.show()
    choice = result["choice"]
    limits = [
        f"{word} at most {choice[f'{kind}_limit']:,}"
        for kind, word in (("arena", "arena"), ("flash", "flash"))
        if choice[f"{kind}_limit"] is not None
    ]
    rate = choice["cycles_per_byte"]
    limits += [f"a byte of flash for {_rate(rate)} cycles"] if rate else []
    console.print(
        f"choice  {choice['optimize']}: about {choice['cycles']:,} cycles, {choice['flash']:,} bytes of constants and "
        f"kernels, {choice['arena']:,} of arena{' (' + '; '.join(limits) + ')' if limits else ''}",
        markup=False,
    )
