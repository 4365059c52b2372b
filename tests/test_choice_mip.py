"""The exact choice, against all choices of small cases."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcugen.choice_mip import Choice, Goal, Item, cheapest

FUNCTIONS = ("f", "g", "h", "i")
ITEMS = st.builds(Item, st.integers(0, 40), st.integers(0, 20), st.sampled_from(FUNCTIONS))
CHOICES = st.builds(
    Choice,
    st.lists(st.lists(ITEMS, min_size=1, max_size=3).map(tuple), min_size=1, max_size=4).map(tuple),
    st.fixed_dictionaries({f: st.integers(0, 30) for f in FUNCTIONS}),
    st.none() | st.integers(0, 100),
)
GOALS = st.sampled_from([Goal(1, 0), Goal(0, 1), Goal(1, 0.75), Goal(1, 2)])


@settings(max_examples=300, deadline=None)
@given(CHOICES, GOALS)
def test_no_choice_costs_less(choice: Choice, goal: Goal) -> None:
    everything = [p for p in product(*(range(len(i)) for i in choice.layers)) if choice.fits(p)]
    found = cheapest(choice, goal)
    if found is None:
        assert not everything
        return
    assert choice.fits(found)
    assert goal.key(choice, found)[0] == min(goal.key(choice, p)[0] for p in everything)


def test_a_function_that_is_shared_is_counted_once() -> None:
    layer = (Item(10, 0, "small"), Item(1, 0, "fast"))
    once, often = Choice((layer,), {"small": 10, "fast": 40}), Choice((layer,) * 5, {"small": 10, "fast": 40})
    assert cheapest(once, Goal(1, 1)) == (0,)
    assert cheapest(often, Goal(1, 1)) == (1,) * 5
    assert often.bytes((1,) * 5) == 40


def test_the_limit_takes_speed_where_it_costs_least() -> None:
    layers = ((Item(100, 0, "f"), Item(50, 60, "f")), (Item(100, 0, "f"), Item(60, 30, "f")))
    assert [cheapest(Choice(layers, {"f": 10}, limit), Goal(1, 0)) for limit in (100, 99, 69, 39, 9)] == [
        (1, 1), (1, 0), (0, 1), (0, 0), None,
    ]  # fmt: skip


@pytest.mark.parametrize("goal", [Goal(1, 0), Goal(0, 1), Goal(1, 1)])
def test_among_equals_the_first(goal: Goal) -> None:
    assert cheapest(Choice(((Item(1, 1, "f"),) * 3,) * 4, {"f": 1}), goal) == (0,) * 4


def test_among_equals_in_size_the_fastest() -> None:
    layers = ((Item(9, 5, "f"), Item(3, 5, "f"), Item(3, 6, "f")),)
    assert cheapest(Choice(layers, {"f": 1}), Goal(0, 1)) == (1,)


def test_many_layers() -> None:
    layer = tuple(Item(1000 - 90 * k, 100 * k, f"f{k}") for k in range(6))
    choice = Choice((layer,) * 60, {f"f{k}": 700 for k in range(6)}, 20_000)
    found = cheapest(choice, Goal(1, 0))
    assert found is not None and choice.fits(found)
    # three steps for every layer and one function leave 13 steps unused; with two functions 186 steps are taken
    assert choice.cycles(found) == 60 * 1000 - 90 * 186
