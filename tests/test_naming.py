"""Names of libraries: made from any file's name, and safe to use as files, types, macros and targets."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcugen.errors import UsageError
from mcugen.kernels import KERNELS
from mcugen.naming import RESERVED, c_name


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("kws", "kws"),
        ("KWS_Float", "kws_float"),
        ("my-model.v2 (final)", "my_model_v2_final_"),
        ("2fast", "n2fast"),
        ("__init__", "init_"),
        ("Größe", "gr_e"),
        ("a__b", "a_b"),
        ("net", "net"),
        ("model", "model"),
        ("int8_model", "int8_model"),
        ("_9", "n9"),
    ],
)
def test_names(stem: str, name: str) -> None:
    assert c_name(stem) == name
    assert c_name(name) == name


@pytest.mark.parametrize(
    "stem", ["int", "While", "class", "_Bool", "not_eq", "main", "co_await", "__register"]
)
def test_keywords_are_refused(stem: str) -> None:
    with pytest.raises(UsageError, match="-n NAME") as caught:
        c_name(stem)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "stem", ["stdio", "string", "time", "int8", "size", "mode", "test", "all", "mcugen", "mcugen_fixed"]
)
def test_names_that_would_clash_are_refused(stem: str) -> None:
    with pytest.raises(UsageError, match="-n NAME"):
        c_name(stem)


@pytest.mark.parametrize("stem", ["", "___", "日本", "a" * 61, "?"])
def test_empty_and_endless_names_are_refused(stem: str) -> None:
    with pytest.raises(UsageError):
        c_name(stem)


@pytest.mark.parametrize("kernel", sorted(KERNELS))
def test_types_of_kernels_are_not_taken(kernel: str) -> None:
    """The generated file has a type `<kernel>_t`."""
    with pytest.raises(UsageError):
        c_name(kernel)


@given(st.text(max_size=80))
def test_any_text_gives_an_identifier_or_an_error(text: str) -> None:
    try:
        name = c_name(text)
    except UsageError:
        return
    assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*_?", name) and name not in RESERVED


def test_system_types_that_a_program_meets_are_reserved(tmp_path: Path) -> None:
    """The types that C's own headers declare here, read from the compiler, are all refused."""
    source = tmp_path / "headers.c"
    source.write_text(
        "#include <stdint.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <time.h>\n"
    )
    done = subprocess.run(
        ["cc", "-std=c99", "-E", "-P", str(source)], capture_output=True, text=True, check=True
    )
    types = set(re.findall(r"\b([a-z][a-z0-9_]*)_t\s*;", done.stdout))
    assert {"int8", "size", "time"} <= types
    assert {name for name in types if name not in RESERVED} == set()
