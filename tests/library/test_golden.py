"""The complete sources of one small library, byte by byte: a change of the generated C is seen in the review.

MCUGEN_UPDATE_GOLDEN=1 pytest tests/library/test_golden.py writes them anew.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import zoo

import mcugen
from mcugen.manifest import load_manifest

GOLDEN = Path(__file__).parents[1] / "golden" / "small"


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The sources by path, made from stored ranges: they do not depend on this machine's float sums."""
    work = tmp_path_factory.mktemp("golden")
    command = "mcugen build small.onnx --board cortex-m4 --calib ranges.json"
    model = zoo.small(work)
    folder = mcugen.build(model, calib=GOLDEN / "ranges.json", out=work, command=command).path
    paths = [*(folder / "src").iterdir(), folder / "CMakeLists.txt", folder / "main.c"]
    # What the model's file is hashed to depends on the version of onnx that wrote it.
    sha256 = load_manifest(folder)["model"]["sha256"]
    return {
        str(p.relative_to(folder)): p.read_bytes().replace(sha256[:16].encode(), b"0" * 16)
        for p in sorted(paths)
        if not p.name.startswith("mcugen_")
    }


def test_sources_are_the_golden_ones(generated: dict[str, bytes]) -> None:
    if os.environ.get("MCUGEN_UPDATE_GOLDEN"):
        for path, data in generated.items():
            (GOLDEN / path).parent.mkdir(parents=True, exist_ok=True)
            (GOLDEN / path).write_bytes(data)
    stored = {str(p.relative_to(GOLDEN)): p.read_bytes() for p in GOLDEN.rglob("*") if p.is_file()}
    del stored["ranges.json"]
    hint = "if the change is meant: MCUGEN_UPDATE_GOLDEN=1 pytest tests/library/test_golden.py"
    assert sorted(stored) == sorted(generated), hint
    for path, data in generated.items():
        assert stored[path].decode() == data.decode(), f"{path}; {hint}"


def test_the_golden_library_is_small() -> None:
    """Small enough to be read in a review."""
    assert sum(p.stat().st_size for p in GOLDEN.rglob("*")) < 40_000
