"""Data folders are found beside the package in a checkout, inside it in an installation."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcugen import resources
from mcugen.errors import InternalError


@pytest.mark.parametrize("name", ["boards", "templates", "runtime_c"])
def test_a_checkout_has_every_folder(name: str, repository: Path) -> None:
    assert resources.data_dir(name) == repository / name


def test_the_package_comes_before_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mcugen").mkdir()
    monkeypatch.setattr(resources, "__file__", str(tmp_path / "mcugen/resources.py"))
    with pytest.raises(InternalError, match="boards"):
        resources.data_dir("boards")
    (tmp_path / "boards").mkdir()
    assert resources.data_dir("boards") == tmp_path / "boards"
    (tmp_path / "mcugen/boards").mkdir()
    assert resources.data_dir("boards") == tmp_path / "mcugen/boards"
