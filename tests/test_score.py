"""Figures of merit against their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from mcugen.score import Noise, class_numbers, share, top1


def test_noise_over_chunks_is_noise_over_all() -> None:
    rng = np.random.default_rng(0)
    exact = rng.standard_normal((10, 3))
    values = exact + 0.1 * rng.standard_normal((10, 3))
    noise = Noise()
    for i in range(0, 10, 4):
        noise.add(exact[i : i + 4], values[i : i + 4])
    expected = 10 * np.log10((exact**2).sum() / ((exact - values) ** 2).sum())
    assert noise.ratio == pytest.approx(expected)


def test_noise_at_its_ends() -> None:
    silent, perfect = Noise(), Noise()
    silent.add(np.zeros(3), np.ones(3))
    perfect.add(np.ones(3), np.ones(3))
    assert silent.ratio == float("-inf") and perfect.ratio == float("inf") and Noise().ratio == float("inf")


def test_top1_takes_the_first_of_equals() -> None:
    best = top1(np.array([[[1, 3]], [[2, 2]]]))
    assert best is not None and best.tolist() == [1, 0]
    assert top1(np.zeros((4, 1))) is None


def test_share() -> None:
    assert share(np.array([1, 2, 3, 4]), np.array([1, 2, 0, 0])) == 0.5
    assert share(None, np.array([1])) is None and share(np.array([1]), None) is None


@pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 1, 1)])
def test_class_numbers_in_columns(shape: tuple[int, ...]) -> None:
    numbers, notes = class_numbers(np.array([0.0, 1.0, 2.0, 0.0]).reshape(shape), 4, [3])
    assert (
        numbers is not None and numbers.tolist() == [0, 1, 2, 0] and numbers.dtype == np.int64 and not notes
    )


def test_a_single_output_has_no_classes() -> None:
    numbers, notes = class_numbers(np.zeros(4), 4, [1])
    assert numbers is None and "single number" in notes[0]
    assert class_numbers(None, 4, [3]) == (None, [])
