"""What `make demo` runs, and the data it runs on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest


def test_no_clip_is_in_both_sets(kws_calib: Path, kws_test: Path) -> None:
    calib, test = np.load(kws_calib)["input"], np.load(kws_test)["input"]
    assert calib.shape == test.shape == (100, 49, 10, 1)
    assert not (test[:, np.newaxis] == calib).all(axis=(2, 3, 4)).any()


@pytest.mark.slow
def test_demo(repository: Path, tmp_path: Path) -> None:
    command = [sys.executable, repository / "examples/kws/demo.py", tmp_path]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "equal, byte for byte" in done.stdout
    assert (tmp_path / "kws_float" / "kws_float.json").is_file()
