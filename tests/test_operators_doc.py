"""docs/operators.md is what the code says."""

from __future__ import annotations

from pathlib import Path

from mcugen.report.operators import operators_page


def test_the_page_of_operators_is_fresh(repository: Path) -> None:
    page = (repository / "docs/operators.md").read_text(encoding="utf-8")
    assert page == operators_page(), "docs/operators.md is stale: run `make docs`"
