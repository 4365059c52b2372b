"""Expressions: evaluation, composition, and what is recognised in them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mcugen.ops.functions import (
    FUNCTIONS,
    Expression,
    X,
    affine,
    compose,
    evaluate,
    recognise,
    size,
    substitute,
)

POINTS = np.linspace(-20.0, 20.0, 1001)


@pytest.mark.parametrize(
    "name", ["sigmoid", "softplus", "silu", "mish", "gelu", "gelu_tanh", "elu", "celu", "selu"]
)
def test_extreme_arguments_do_not_overflow(name: str) -> None:
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        parameters = {"elu": (1.0,), "celu": (1.0,), "selu": (1.6, 1.05)}.get(name, ())
        y = FUNCTIONS[name](np.array([-700.0, 0.0, 700.0]), *parameters)
    assert np.isfinite(y).all()


def test_known_values() -> None:
    x = np.array([-1.0, 0.0, 2.0])
    np.testing.assert_allclose(evaluate(("sigmoid", X), x), 1 / (1 + np.exp(-x)))
    np.testing.assert_allclose(evaluate(("gelu", X), x), [-0.15865525, 0.0, 1.95449974], atol=1e-8)
    np.testing.assert_allclose(evaluate(("hard_swish", X), x), [-1 / 3, 0.0, 5 / 3])
    np.testing.assert_allclose(evaluate(("add", ("mul", X, X), 1.0), x), [2.0, 1.0, 5.0])


@pytest.mark.parametrize(
    ("function", "inner"),
    [
        (("clip", X, 0.0, 6.0), ("add", X, 3.0)),
        (("mul", X, ("sigmoid", X)), ("mul", X, 2.0)),
        (("clip", X, -1.0, 4.0), ("clip", X, 0.0, 6.0)),
        (("clip", X, 5.0, 7.0), ("clip", X, 0.0, 2.0)),
        (("max", 2.0, X), ("min", X, 1.0)),
        (("sub", 1.0, X), ("tanh", X)),
    ],
)
def test_composition_is_one_after_the_other(function: Expression, inner: Expression) -> None:
    composed = compose(function, inner)
    np.testing.assert_allclose(
        evaluate(composed, POINTS), evaluate(function, evaluate(inner, POINTS)), atol=2e-5
    )


@pytest.mark.parametrize(
    ("function", "known"),
    [
        (("div", 1.0, ("add", 1.0, ("exp", ("neg", X)))), ("sigmoid", X)),
        (("mul", 0.5, ("add", X, ("abs", X))), ("clip", X, 0.0, math.inf)),
        (("sub", ("add", X, 1.0), 1.0), X),
        (("max", X, ("mul", 0.2, X)), ("leaky_relu", X, 0.2)),
    ],
)
def test_recognised_by_value(function: Expression, known: Expression) -> None:
    assert recognise(function) == known


@pytest.mark.parametrize(
    "function",
    [
        ("mul", X, ("sigmoid", ("mul", X, 1.01))),
        ("clip", ("mul", X, ("sigmoid", X)), -1.0, 9000.0),
        ("mul", X, ("hard_sigmoid", X, 0.2, 0.5)),
        ("log", ("add", X, 1.0)),
        ("tanh", ("tanh", X)),
    ],
)
def test_what_is_only_alike_stays(function: Expression) -> None:
    assert recognise(function) == function


def test_substitution_and_size() -> None:
    assert substitute(("mul", X, ("exp", X)), ("neg", X)) == ("mul", ("neg", X), ("exp", ("neg", X)))
    assert substitute(("add", X, 2.0), 1.0) == ("add", 1.0, 2.0)
    assert size(("mul", X, ("exp", X))) > size(("mul", X, X)) > size(X)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (X, (1.0, 0.0)),
        (("add", X, 3.0), (1.0, 3.0)),
        (("sub", 2.0, X), (-1.0, 2.0)),
        (("div", ("mul", ("neg", X), 4.0), 2.0), (-2.0, 0.0)),
        (("mul", 0.0, X), (0.0, 0.0)),
        (("mul", X, X), None),
        (("div", 1.0, X), None),
        (("tanh", X), None),
        (("clip", X, 0.0, 6.0), None),
    ],
)
def test_affine(function: Expression, expected: tuple[float, float] | None) -> None:
    assert affine(function) == expected
