"""Metrics against their definitions, what labels are understood as, and users' own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcugen.errors import UsageError
from mcugen.ir import Array
from mcugen.metrics import (
    auc,
    confusion,
    figures,
    find_metrics,
    reconstruction_auc,
    top_k,
    understand,
)

TEN = {"shape": [10], "scale": 0.1, "dtype": "int8"}
ONE = {"shape": [1], "scale": 0.1, "dtype": "int8"}
FLOAT = {"shape": [1], "scale": None, "dtype": "float32"}
INDEX = {"shape": [1], "scale": None, "dtype": "int32"}


@pytest.mark.parametrize("levels", [3, 1000])
def test_auc_counts_pairs(levels: int) -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(0, levels, 60), rng.integers(0, 2, 60)
    pairs = scores[labels == 1][:, None] - scores[labels == 0]
    assert auc(scores, labels) == pytest.approx(np.mean((pairs > 0) + 0.5 * (pairs == 0)))


def test_auc_of_one_class_is_unknown() -> None:
    assert np.isnan(auc(np.arange(4), np.ones(4, int)))


def test_top_k_sorts() -> None:
    rng = np.random.default_rng(1)
    outputs, classes = rng.integers(-4, 4, (200, 10)), rng.integers(0, 10, 200)
    order = np.argsort(-outputs, axis=1, kind="stable")  # the first among equals, as top-1 takes it
    for k in (1, 5, 10):
        expected = np.mean([label in row[:k] for label, row in zip(classes, order, strict=True)])
        assert top_k(outputs, classes, k) == pytest.approx(expected)
    assert top_k(outputs, classes, 1) == np.mean(outputs.argmax(axis=1) == classes)


def test_confusion_has_labels_in_rows() -> None:
    assert confusion(np.array([1, 1, 0]), np.array([0, 0, 2]), 3) == [[0, 2, 0], [0, 0, 0], [1, 0, 0]]


@pytest.mark.parametrize(
    ("labels", "port", "kind"),
    [
        (np.arange(10), TEN, "classes"),
        (np.eye(10), TEN, "classes"),
        (np.eye(10, dtype=bool), TEN, "classes"),
        (np.linspace(0, 1, 100).reshape(10, 10), TEN, "targets"),
        (np.ones((10, 10), int), TEN, "targets"),
        (np.arange(10) % 2, ONE, "binary"),
        ((np.arange(10) % 2).astype(np.float32).reshape(10, 1), ONE, "binary"),
        (np.arange(10), ONE, "targets"),
        (np.arange(10), FLOAT, "targets"),
        (np.arange(10), INDEX, "classes"),
    ],
)
def test_what_labels_mean(labels: Array, port: dict[str, Any], kind: str) -> None:
    truth, notes = understand(labels, 10, port)
    assert truth is not None and truth.kind == kind and len(truth.values) == 10 and not notes


@pytest.mark.parametrize(
    ("labels", "port", "says"),
    [
        (np.array(["a"] * 10), TEN, "numbers are needed"),
        (np.arange(1, 11), TEN, "from 0 to 9, these from 1 to 10"),
        (np.full((10, 10), np.nan), TEN, "not all finite"),
        (np.zeros((10, 3)), TEN, "have the shape [10, 3]"),
        (np.zeros((10, 3)), ONE, "labels are not scored"),
    ],
)
def test_labels_that_mean_nothing(labels: Array, port: dict[str, Any], says: str) -> None:
    truth, notes = understand(labels, 10, port)
    assert truth is None and says in notes[0]


def test_which_figures() -> None:
    rng = np.random.default_rng(2)
    truth, _ = understand(np.arange(10) % 2, 10, TEN | {"shape": [2]})
    assert truth is not None
    two = rng.standard_normal((10, 2))
    found = figures(truth, two)
    assert list(found) == ["top-1", "AUC"] and found["AUC"] == auc(two[:, 1] - two[:, 0], truth.values)
    truth, _ = understand(np.arange(10), 10, TEN)
    assert truth is not None and list(figures(truth, rng.standard_normal((10, 10)))) == ["top-1", "top-5"]
    assert figures(truth, np.arange(10).reshape(10, 1)) == {"top-1": 1.0}  # indices
    target = rng.standard_normal((10, 10))
    truth, _ = understand(target, 10, TEN)
    assert truth is not None and figures(truth, target + 0.5) == {
        "MSE": pytest.approx(0.25),
        "MAE": pytest.approx(0.5),
    }


def test_reconstruction_auc() -> None:
    x = np.random.default_rng(3).standard_normal((40, 4, 2))
    labels = np.arange(40) % 2
    y = x + 0.1 + 0.3 * labels[:, None, None]
    assert reconstruction_auc(y.reshape(40, 8), labels, x) == 1.0
    for wrong in ((y, None, x), (y, labels + 1, x), (y[:, :2], labels, x), ({"a": y}, labels, x)):
        with pytest.raises(ValueError, match="it needs|shape"):
            reconstruction_auc(*wrong)


# --- users' own ---


def test_metrics_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_scores.py").write_text(
        "def three(outputs, labels, inputs):\n    return {'a': 1, 'b': inputs.sum()}\n"
        "def two(outputs, labels):\n    import own_more\n    return own_more.VALUE\n"
        "def bad(outputs, labels):\n    return 'many'\n"
        "def fails(outputs, labels):\n    return labels[99]\n"
    )
    (tmp_path / "own_more.py").write_text("VALUE = 7\n")
    monkeypatch.chdir(tmp_path)
    names = ["own_scores:three", "own_scores:two", "own_scores:bad", "own_scores:fails"]
    (three, two, bad, fails), faults = find_metrics(names)
    x = np.ones((2, 3))
    assert not faults and three.wants_inputs and not two.wants_inputs
    assert three(x, None, x) == {"three.a": 1.0, "three.b": 6.0} and two(x, None, None) == {"two": 7.0}
    with pytest.raises(UsageError, match="own_scores:bad: it returned str: many"):
        bad(x, None, x)
    with pytest.raises(UsageError, match=r"it raised IndexError.*own_scores.py, line 9"):
        fails(x, np.zeros(2), x)
    _, faults = find_metrics(["own_scores:none", "nowhere:f", "F1", "own_more:VALUE", "own_scores:a b"])
    assert [str(fault).split(": ")[0] for fault in faults] == [
        "own_scores:none",
        "nowhere:f",
        "F1",
        "own_more:VALUE",
        "own_scores:a b",
    ]


def test_metrics_of_one_name_keep_their_modules() -> None:
    found, _ = find_metrics(["numpy:sum", "math:fsum", "numpy.ma:sum"])
    assert [metric.name for metric in found] == ["numpy:sum", "fsum", "numpy.ma:sum"]
