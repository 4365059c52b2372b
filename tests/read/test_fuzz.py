"""A short run of the fuzzer of both importers, and what its longer runs have found."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import fuzz
import pytest

COUNT = 1200
FOUND = [("tflite/micro_speech_int8.tflite", 2, 16946)]  # source, seed, mutant: a resource as an activation


@pytest.mark.slow
def test_mutants_are_compiled_or_refused() -> None:
    """In a process of its own: with its memory limited, and safe from crashes of native code."""
    command = [sys.executable, fuzz.__file__, "--count", str(COUNT), "--seed", "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert f"{COUNT} mutants" in done.stdout and "ModelError" in done.stdout


@pytest.mark.parametrize(("name", "seed", "number"), FOUND)
def test_found_before(name: str, seed: int, number: int, tmp_path: Path) -> None:
    source = fuzz.EXAMPLES / name
    path = tmp_path / f"mutant{source.suffix}"
    path.write_bytes(fuzz.mutant(source.read_bytes(), seed * 1_000_003 + number))
    assert fuzz.try_file(path) != "compiled"


def test_the_fuzzer_repeats_itself() -> None:
    data = bytes(range(256)) * 8
    assert fuzz.mutant(data, 5) == fuzz.mutant(data, 5) != data
    assert len({fuzz.mutant(data, seed) for seed in range(20)}) > 15
