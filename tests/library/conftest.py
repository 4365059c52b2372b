"""Generated libraries that the tests of this folder share; random calibration, as only the C is of interest."""

from __future__ import annotations

from pathlib import Path

import pytest
import zoo

import mcugen
from mcugen.manifest import load_manifest


@pytest.fixture(scope="session")
def zoo_libraries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of the zoo's libraries by name."""
    work = tmp_path_factory.mktemp("zoo")
    built = [mcugen.build(model(work), calib="random", out=work / "out") for model in zoo.ZOO]
    return {b.path.name: b.path for b in built}


@pytest.fixture(scope="session")
def example_libraries(models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of the five example models' libraries by short name."""
    out = tmp_path_factory.mktemp("examples")
    return {name: mcugen.build(path, calib="random", out=out).path for name, path in models.items()}


@pytest.fixture(scope="session")
def libraries(zoo_libraries: dict[str, Path], example_libraries: dict[str, Path]) -> dict[str, Path]:
    """All of them."""
    return zoo_libraries | example_libraries


@pytest.fixture(scope="session")
def portable_libraries(models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same for cores without any extension."""
    work = tmp_path_factory.mktemp("portable")
    paths = [*(model(work) for model in zoo.ZOO), *models.values()]
    names = [*(None for _ in zoo.ZOO), *models]
    built = [mcugen.build(path, calib="random", board="cortex-m0", out=work / "out").path for path in paths]
    return {name or folder.name: folder for name, folder in zip(names, built, strict=True)}


@pytest.fixture(scope="session")
def every_kernel(zoo_libraries: dict[str, Path]) -> Path:
    """The library with two inputs, three outputs and nearly every kernel."""
    folder = zoo_libraries["every_kernel"]
    assert len(load_manifest(folder)["inputs"]) == 2
    return folder
