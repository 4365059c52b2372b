"""Texts of the generated C: numbers that come back exactly, comments that cannot end early."""

from __future__ import annotations

import re

import jinja2
import numpy as np
import pytest
from graphs import int8_type, one_node_graph
from hypothesis import given
from hypothesis import strategies as st

from mcugen.boards import load_board
from mcugen.choice import Optimize
from mcugen.ctext import array_text, comment_text, float_text, formula_text
from mcugen.pipeline import lay_out
from mcugen.render import environment, render


@given(st.text(max_size=300), st.integers(20, 200))
def test_comments_stay_on_one_line_and_inside(text: str, most: int) -> None:
    comment = comment_text(text, most)
    assert comment.isascii() and (comment.isprintable() or not comment)
    assert not any(bad in comment for bad in ("*/", "/*", "??", "\\"))
    assert len(comment_text("x" * len(text), most)) <= most


def test_long_comments_lose_their_middle() -> None:
    assert (
        comment_text("functional_1/" + "a" * 200 + "/conv", 40) == "functional_1/aaaaa...aaaaaaaaaaaaaa/conv"
    )
    assert comment_text("kws") == "kws"
    assert comment_text("a/**/b") == "a/ ** /b"
    assert comment_text("größe\n\\") == "gr__e_/"


@given(st.floats(width=32, min_value=2.0**-126, allow_infinity=False, allow_nan=False))
def test_floats_come_back(value: float) -> None:
    text = float_text(value)
    assert np.float32(float(text)) == np.float32(value)
    assert re.fullmatch(r"\d+\.\d+(e[+-]\d+)?", text), "C would take it for an integer"


@pytest.mark.parametrize(
    ("scale", "zero_point", "text"),
    [
        (0.00390625, -128, "0.00390625 * (q + 128)"),
        (0.1, 5, "0.1 * (q - 5)"),
        (2.0, 0, "2.0 * q"),
        (1e-6, 0, "1.0e-06 * q"),
    ],
)
def test_formulas(scale: float, zero_point: int, text: str) -> None:
    assert formula_text(scale, zero_point) == text


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=60))
def test_arrays_come_back(values: list[int]) -> None:
    text = array_text(np.array(values, np.int32))
    assert max(map(len, text.splitlines())) <= 100
    # -2147483648 is no int in C: the minus is an operator
    assert "2147483648" not in text
    assert [eval(item) for item in text.replace("\n", "").split(",") if item.strip()] == values


def test_an_undefined_name_in_a_template_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        environment().from_string("{{ forgotten }}").render()


def test_shapes_of_the_header_leave_out_the_batch() -> None:
    graph = one_node_graph(
        "softmax", [int8_type((1, 2, 3), 0.1)], {"beta": 1.0}, int8_type((1, 2, 3), 1 / 256, -128)
    )
    named = ("t", "t.onnx", "0" * 64, "mcugen build t.onnx")
    files, tables = render(lay_out(graph, load_board("host"), *named, optimize=Optimize.SIZE))
    assert 'Input "x0": int8 [2, 3], real = 0.1 * q ' in files["src/t.h"]
    assert "#define T_INPUT_SIZE 6\n" in files["src/t.h"]
    assert "#define T_OUTPUT_ZERO_POINT (-128)\n" in files["src/t.h"]
    assert not tables.arrays
    assert "t_has_no_constants" in files["src/t_weights.c"]


def test_a_command_is_printed_whole() -> None:
    graph = one_node_graph("softmax", [int8_type((1, 3))], {"beta": 1.0}, int8_type((1, 3), 1 / 256, -128))
    command = "mcugen build t.onnx --calib " + "x" * 400 + ".npz"
    files, _ = render(lay_out(graph, load_board("host"), "t", "t.onnx", "0" * 64, command))
    assert command in files["src/t.c"] and command in files["src/t.h"]
