"""The wheel holds all that the compiler needs, and works far from the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

DATA = ("boards", "runtime_c", "templates")


def run(*command: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, repository, cwd=out)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment with the wheel alone; its dependencies are those of this run."""
    home = tmp_path_factory.mktemp("env")
    # pip runs from outside: ensurepip would take most of the test's time.
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    paths = {"base": str(home), "platbase": str(home)}
    site = Path(sysconfig.get_path("purelib", scheme="venv", vars=paths))
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=home)
    # .pth files inside the added folder (an editable install's) are not read: the checkout stays unseen.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def test_wheel_contains_every_data_file(wheel: Path, repository: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    assert "mcugen/bench/block_profile.c" in held and "mcugen/boards/costs/cortex-m4.toml" in held
    for folder in DATA:
        files = [path for path in (repository / folder).rglob("*") if path.is_file() and path.name[0] != "."]
        assert files, folder
        missing = [path for path in files if f"mcugen/{path.relative_to(repository)}" not in held]
        assert not missing


def test_wheel_contains_nothing_else(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"mcugen"}


def test_wheel_carries_its_licences(wheel: Path) -> None:
    held = {name.split("/", 1)[1] for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" in name}
    assert {"licenses/LICENSE", "licenses/runtime_c/LICENSE", "licenses/templates/LICENSE"} <= held


def test_package_is_imported_from_the_environment(installed: Path, repository: Path, tmp_path: Path) -> None:
    found = run(installed, "-c", "import mcugen; print(mcugen.__file__)", cwd=tmp_path, env=clean())
    assert Path(found.strip()).is_relative_to(installed.parent.parent)


def test_version_is_the_metadata_s(installed: Path, tmp_path: Path) -> None:
    code = "import importlib.metadata as m, mcugen; print(m.version('mcugen') == mcugen.__version__)"
    assert run(installed, "-c", code, cwd=tmp_path, env=clean()) == "True\n"


def test_boards_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    assert "cortex-m4" in run(installed, "-m", "mcugen", "boards", cwd=tmp_path, env=clean())


def test_command_is_installed(installed: Path, tmp_path: Path) -> None:
    assert "cortex-m4" in run(installed.parent / "mcugen", "boards", cwd=tmp_path, env=clean())


def test_build_from_an_empty_folder(
    installed: Path, models: dict[str, Path], kws_calib: Path, tmp_path: Path
) -> None:
    """Templates and runtime headers are found in the package."""
    model = str(models["kws"])
    run(
        *(installed.parent / "mcugen", "build", model, "--calib", str(kws_calib)),
        *("--board", "cortex-m4", "-o", str(tmp_path)),
        cwd=tmp_path,
        env=clean(),
    )
    assert (tmp_path / "kws_float" / "src" / "kws_float.h").is_file()


def clean() -> dict[str, str]:
    """The environment without what could lead Python back into the checkout."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
