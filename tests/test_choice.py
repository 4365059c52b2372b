"""What every aim chooses, with kernels of chosen cost, against all choices."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path

import pytest
from fake_kernels import Cost, Kernels, chain
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from mcugen.boards import Board, load_board
from mcugen.budget import CODE_BYTES, STACK_BYTES
from mcugen.choice import EXCHANGE, LEAST_FLASH, Optimize, decide, optimize_named, slack
from mcugen.errors import UsageError
from mcugen.ir import Graph
from mcugen.pipeline import Settings, compile_model
from mcugen.select import Layer
from mcugen.storage import assign

M4 = load_board("cortex-m4")


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> Kernels:
    return Kernels(monkeypatch)


def board(ram: int = 1 << 30, flash: int = 1 << 30) -> Board:
    """A board with so much for the arena, and for constants and kernels."""
    memories = [
        {"name": "ram", "kind": "ram", "base": 0x2000_0000, "size": ram + STACK_BYTES},
        {"name": "flash", "kind": "flash", "base": 0x8000_0000, "size": flash + CODE_BYTES},
    ]
    return Board.model_validate(
        {"name": "b", "description": "", "cpu": "c", "toolchain": "", "memories": memories}
    )


def chosen(graph: Graph, aim: str, on: Board = M4) -> list[str]:
    return [layer.kernel.name for layer in decide(graph, on, Optimize(aim)).layers]


def test_each_aim_has_its_kernel(kernels: Kernels) -> None:
    kernels.add("fast", Cost(33, flash=3000, scratch=900), size=2000)
    kernels.add("quick", Cost(40, flash=100), size=400)
    kernels.add("small", Cost(100, flash=50), size=300)
    aims = {aim: chosen(chain(1000, 1000), aim)[0] for aim in ("speed", "balanced", "size", "ram")}
    # to balanced all that scratch is too much
    assert aims == {"speed": "fast", "balanced": "quick", "size": "small", "ram": "quick"}


def test_ram_takes_scratch_away_from_the_peak(kernels: Kernels) -> None:
    kernels.add("fast", Cost(10, scratch=8), Cost(10, scratch=400))
    kernels.add("plain", Cost(90), Cost(90))
    assert chosen(chain(1000, 1000, 1000), "ram") == ["plain", "plain"]
    assert chosen(chain(1000, 500, 500), "ram") == ["plain", "fast"]
    assert chosen(chain(500, 500, 1000), "ram") == ["fast", "plain"]


def test_ram_prefers_kernels_that_work_in_place(kernels: Kernels) -> None:
    kernels.add("fast", Cost(10, in_place=False), Cost(10, in_place=False))
    kernels.add("plain", Cost(90), Cost(90))
    assert chosen(chain(1000, 1000, 1000), "ram") == ["plain", "plain"]
    assert chosen(chain(1000, 500, 500), "ram") == ["plain", "fast"]


@pytest.mark.parametrize(("saved", "wanted"), [(99, "plain"), (101, "fast")])
def test_speed_wants_cycles_for_arena(kernels: Kernels, saved: int, wanted: str) -> None:
    kernels.add("fast", Cost(10_000, scratch=400))
    kernels.add("plain", Cost(10_000 + saved))
    assert chosen(chain(40_000, 40_000), "speed") == [wanted]


@pytest.mark.parametrize(("cycles", "wanted"), [(25, "plain"), (26, "fast")])
def test_balanced_takes_more_arena_rather_than_wait(kernels: Kernels, cycles: int, wanted: str) -> None:
    """Where it would take more than a quarter longer, 2 KiB or a quarter of the arena."""
    kernels.add("fast", Cost(100, scratch=2048))
    kernels.add("plain", Cost(100 + cycles))
    assert chosen(chain(4000, 4000), "balanced") == [wanted]
    kernels.add("fast", Cost(100, scratch=2049))
    assert chosen(chain(4000, 4000), "balanced") == ["plain"]
    assert chosen(chain(8200, 8200), "balanced") == [wanted]
    kernels.add("between", Cost(120, scratch=300))  # less than a quarter slower than the best: it is enough
    assert chosen(chain(8200, 8200), "balanced") == ["between" if wanted == "fast" else "plain"]


def test_balanced_takes_scratch_where_the_arena_has_room(kernels: Kernels) -> None:
    kernels.add("fast", Cost(80, scratch=192), Cost(80, scratch=200))
    kernels.add("plain", Cost(90), Cost(90))
    assert slack(4000) == 192 and slack(768) == 0 and slack(3712) == 128
    assert chosen(chain(4000, 4000, 4000), "balanced") == ["fast", "plain"]
    assert chosen(chain(4000, 4000, 4000), "ram") == ["plain", "plain"]
    assert chosen(chain(4000, 4000, 4000), "speed") == ["fast", "fast"]


@pytest.mark.parametrize("cycles", [0, 1])
def test_balanced_buys_speed_at_the_exchange_rate(kernels: Kernels, cycles: int) -> None:
    flash = 3277  # a tenth of the least that is counted
    fast = 10_000
    slow = round(fast * (1 + EXCHANGE * flash / LEAST_FLASH)) + cycles
    kernels.add("fast", Cost(fast), size=flash)
    kernels.add("slow", Cost(slow))
    assert chosen(chain(10, 10), "balanced") == [["slow"], ["fast"]][cycles]


def test_code_is_counted_once_for_all_layers(kernels: Kernels) -> None:
    kernels.add("fast", *[Cost(10)] * 4, size=900)
    kernels.add("plain", *[Cost(90, flash=250)] * 4)
    assert (
        chosen(chain(*[9] * 3), "size") == ["plain"] * 2
    )  # equal arrays are stored once, but counted for each
    assert chosen(chain(*[9] * 5), "size") == ["fast"] * 4


def test_kernels_that_share_a_function_share_its_bytes(kernels: Kernels) -> None:
    kernels.add("a", Cost(10), None, size=500, function="both")
    kernels.add("b", None, Cost(10), size=500, function="both")
    kernels.add("c", Cost(90), Cost(90), size=450)
    assert chosen(chain(9, 9, 9), "size") == ["c", "c"]
    kernels.add("c", Cost(90), Cost(90), size=501)
    assert chosen(chain(9, 9, 9), "size") == ["a", "b"]


def test_speed_keeps_within_the_boards_flash(kernels: Kernels) -> None:
    kernels.add("fast", Cost(10, flash=100), Cost(50, flash=100))
    kernels.add("plain", Cost(90), Cost(90))
    graph = chain(9, 9, 9)
    for flash, wanted in ((200, ["fast", "fast"]), (199, ["fast", "plain"]), (99, ["plain", "plain"])):
        assert chosen(graph, "speed", board(flash=flash)) == wanted


def test_speed_keeps_within_the_boards_ram(kernels: Kernels) -> None:
    kernels.add("fast", Cost(10, scratch=64), Cost(10, scratch=128))
    kernels.add("plain", Cost(90), Cost(90))
    graph = chain(64, 64, 64)
    for ram, wanted in ((192, ["fast", "fast"]), (191, ["fast", "plain"]), (127, ["plain", "plain"])):
        assert chosen(graph, "speed", board(ram=ram)) == wanted


def test_what_fits_nowhere_takes_the_least(kernels: Kernels) -> None:
    kernels.add("fast", Cost(10, scratch=640, flash=5))
    kernels.add("plain", Cost(90, flash=9))
    decision = decide(chain(64, 64), board(ram=10), Optimize.SPEED)
    assert decision.layers[0].kernel.name == "plain" and decision.storage.arena == 64
    decision = decide(chain(64, 64), board(flash=1), Optimize.SPEED)
    assert decision.layers[0].kernel.name == "fast"


def test_the_real_plan_has_the_last_word(kernels: Kernels, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were the bound of a step too low, the scratch at the peak goes."""
    kernels.add("fast", Cost(10, scratch=64), Cost(10, scratch=128), Cost(10, scratch=8))
    kernels.add("plain", Cost(90), Cost(90), Cost(90))
    monkeypatch.setattr("mcugen.choice.layer_bounds", lambda _, layers: [[2, 1] for _ in layers])
    decision = decide(chain(64, 64, 64, 64), board(ram=128), Optimize.SPEED)
    assert [layer.kernel.name for layer in decision.layers] == ["fast", "plain", "fast"]
    assert decision.excluded == {(1, 0): 192} and decision.storage.arena == 128
    monkeypatch.setattr("mcugen.choice._PLANS", 1)
    assert chosen(chain(64, 64, 64, 64), "speed", board(ram=128)) == ["plain"] * 3


def test_a_debug_build_has_the_same_kernels(kernels: Kernels) -> None:
    kernels.add("fast", Cost(10, scratch=8), Cost(10, scratch=8))
    kernels.add("plain", Cost(90), Cost(90))
    graph = chain(4000, 4000, 4000)
    usual, whole = (decide(graph, M4, Optimize.BALANCED, keep_all=keep) for keep in (False, True))
    assert usual.layers == whole.layers and usual.storage.arena == 4008 < whole.storage.arena


def test_wishes_come_first(kernels: Kernels) -> None:
    kernels.add("fast", Cost(10), Cost(10), Cost(10))
    kernels.add("plain", Cost(90), Cost(90), None)
    graph = chain(8, 8, 8, 8)
    decision = decide(graph, M4, Optimize.SPEED, {"n1": ("plain", "a.toml")})
    assert [layer.kernel.name for layer in decision.layers] == ["fast", "plain", "fast"]
    assert decision.options[1].reasons == {"fast": "a.toml wants plain"}
    wishes = {"n1": ("fancy", "a.toml"), "n2": ("plain", "a.toml")}
    with pytest.raises(UsageError, match="no such kernels") as raised:
        decide(graph, M4, Optimize.SPEED, wishes)
    assert [(fault.why, fault.fix) for fault in raised.value.faults] == [
        ("fancy for n1: there is none for such a layer", "one of fast, plain"),
        ("plain for n2: no cost", "one of fast"),
    ]


def test_among_equals_the_first_by_name(kernels: Kernels) -> None:
    for name in ("b", "a", "c"):
        kernels.add(name, Cost())
    assert {tuple(chosen(chain(9, 9), aim)) for aim in Optimize} == {("a",)}


COSTS = st.builds(
    Cost, st.integers(1, 99), st.integers(0, 60), st.sampled_from((0, 8, 16, 64, 200)), st.booleans()
)


@examples(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(Optimize), st.integers(1, 2))
def test_no_other_choice_is_better(data: st.DataObject, aim: Optimize, count: int) -> None:
    """By brute force over real plans: the aim's first figure is the least of all choices that fit."""
    sizes = data.draw(st.lists(st.sampled_from((8, 40, 160, 1600)), min_size=count + 1, max_size=count + 1))
    graph = chain(*sizes)
    ram, flash = (
        data.draw(st.sampled_from((300, 1700, 1 << 30))),
        data.draw(st.sampled_from((60, 250, 1 << 30))),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mcugen.choice.LEAST_RAM", 1 << 40)  # arena is free for speed
        patch.setattr("mcugen.choice.PATIENCE", math.inf)
        kernels = Kernels(patch)
        for name in ("a", "b", "c"):
            costs = [data.draw(COSTS) for _ in range(count)]
            kernels.add(name, *costs, size=data.draw(st.integers(0, 99)))
        decision = decide(graph, board(ram, flash), aim)
        everything = list(product(kernels.known.values(), repeat=count))
        arenas, sizes_of, cycles = {}, {}, {}
        for kernel in everything:
            layers = [Layer(i, node, k) for i, (node, k) in enumerate(zip(graph.nodes, kernel, strict=True))]
            arenas[kernel] = assign(graph, layers).arena
            used = {part: size for k in kernel for part, size in k.code(graph.nodes[0], graph).items()}
            constants = [k.costs[f"n{i}"].flash for i, k in enumerate(kernel)]  # type: ignore[attr-defined]
            sizes_of[kernel] = sum(constants) + sum(used.values())
            cycles[kernel] = sum(k.costs[f"n{i}"].cycles for i, k in enumerate(kernel))  # type: ignore[attr-defined]
        found = tuple(layer.kernel for layer in decision.layers)
        least = min(arenas.values())
        limit = {Optimize.RAM: least, Optimize.BALANCED: least + slack(least)}.get(aim, ram)
        limit = min(limit, ram)
        fits = [k for k in everything if arenas[k] <= limit and sizes_of[k] <= flash]
        if not fits:
            return
        cost = {
            k: sizes_of[k] if aim is Optimize.SIZE else decision.goal.per_byte * sizes_of[k] + cycles[k]
            for k in everything
        }
        assert found in fits and cost[found] == pytest.approx(min(cost[k] for k in fits))


def test_names() -> None:
    assert optimize_named(None) is Optimize.BALANCED and optimize_named("ram") is Optimize.RAM
    with pytest.raises(UsageError, match="one of speed, size, ram, balanced"):
        optimize_named("fast")


@pytest.mark.parametrize("model", ["ad", "ic", "kws", "sww", "vww"])
def test_the_example_models_by_every_aim(models: dict[str, Path], repository: Path, model: str) -> None:
    """The aims differ as they should, whatever kernels there are."""
    ranges = repository / f"benchmarks/ranges/{model}.json"
    found = {}
    for aim in Optimize:
        settings = Settings(calib=ranges, refine=False, optimize=aim)
        decision = compile_model(models[model], M4, settings).library.decision
        costs = decision.choice
        found[aim] = (costs.cycles(decision.picked), costs.bytes(decision.picked), decision.storage.arena)
    assert found[Optimize.SPEED][0] == min(cycles for cycles, _, _ in found.values())
    assert found[Optimize.SIZE][1] == min(flash for _, flash, _ in found.values())
    assert found[Optimize.RAM][2] == min(arena for _, _, arena in found.values())
    assert found[Optimize.BALANCED][2] <= found[Optimize.RAM][2] + slack(found[Optimize.RAM][2])
