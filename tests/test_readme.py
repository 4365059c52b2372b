"""README.md is what a new user has: its snippets run, its commands and options exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import zoo
from emulated import need

from mcugen import build
from mcugen.boards import board_names
from mcugen.tools import find_tool, how_to_install


@pytest.fixture(scope="module")
def readme(repository: Path) -> str:
    return (repository / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """model.onnx with input `input`, calib.npz, test.npz with labels, and the library in out/model."""
    folder = tmp_path_factory.mktemp("user")
    model = onnx.load(zoo.small(folder))
    model.graph.input[0].name = model.graph.node[0].input[0] = "input"
    onnx.save(model, folder / "model.onnx")
    x = np.random.default_rng(1).standard_normal((30, 1, 4, 4)).astype(np.float32)
    np.savez(folder / "calib.npz", input=x)
    np.savez(folder / "test.npz", input=x, y=np.arange(30) % 3)
    build(folder / "model.onnx", calib=x, board="nucleo-f446re", out=folder / "out")
    return folder


def blocks(text: str, language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [block for name, block in found if name == language]


def commands(text: str) -> list[list[str]]:
    """Every `mcugen ...` in backticks or code blocks, as words."""
    spans = re.findall(r"`(mcugen [^`]+)`", text)
    spans += re.findall(r"^(mcugen .+)$", "".join(blocks(text, "")), re.MULTILINE)
    return [shlex.split(" ".join(span.split()), comments=True) for span in spans]


def test_commands_and_their_options_exist(readme: str, repository: Path) -> None:
    found = commands(readme)
    assert {words[1] for words in found} == {
        "build",
        "verify",
        "evaluate",
        "analyze",
        "bench",
        "boards",
        "ops",
        "doctor",
    }
    helps: dict[str, str] = {}
    for words in found:
        command = words[1]
        if command not in helps:
            shown = subprocess.run(
                [sys.executable, "-m", "mcugen", command, "-h"],
                cwd=repository,
                capture_output=True,
                text=True,
            )
            helps[command] = shown.stdout
        for option in (word for word in words[2:] if word.startswith("-")):
            assert re.search(rf"(?<![\w-]){option}(?![\w-])", helps[command]), words
        if "--board" in words:
            assert words[words.index("--board") + 1] in board_names()


def test_steps_of_a_new_user(readme: str, folder: Path, repository: Path) -> None:
    steps = [words for words in commands(readme) if "model.onnx" in words or "out/model" in words]
    assert [words[1] for words in steps] == ["analyze", "build", "verify", "evaluate", "bench"]
    need("cortex-m4")
    for words in steps:
        done = subprocess.run(
            [sys.executable, "-m", *words],
            cwd=folder,
            env={"PYTHONPATH": str(repository), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert words[1] != "verify" or "top-1 of the C" in done.stdout
        assert words[1] != "evaluate" or ("top-1" in done.stdout and "verdict equal" in done.stdout)
        assert words[1] != "bench" or "model cycles" in done.stdout


def test_python(readme: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (snippet,) = blocks(readme, "python")
    monkeypatch.chdir(folder)
    x = np.load("calib.npz")["input"]
    names = {"x": x}
    exec(snippet, names)  # the README's own lines
    y = names["y"]
    assert y.shape == (30, 3) and np.allclose(y.sum(axis=1), 1, atol=0.02)
    assert names["net"].run(np.zeros((2, 1, 4, 4), np.int8)).dtype == np.int8


@pytest.mark.parametrize("compiler", ["cc", "arm-none-eabi-gcc"])
def test_c(readme: str, folder: Path, tmp_path: Path, compiler: str) -> None:
    if find_tool(compiler) is None:
        pytest.skip(f"{compiler} is missing: {how_to_install(compiler)}")
    (snippet,) = blocks(readme, "c")
    # a definition of an external function wants a declaration under -Wmissing-prototypes, not under these
    (tmp_path / "classify.c").write_text(snippet)
    (line,) = [line for block in blocks(readme, "") for line in block.splitlines() if "gcc" in line]
    words = shlex.split(line)
    words = words[: words.index("-c") + 1] + ["-Werror"]
    if compiler == "cc":
        words = ["cc", *(word for word in words[1:] if not word.startswith("-m"))]
    library = folder / "out/model/src"
    words = [f"-I{library}" if word.startswith("-I") else word for word in words]
    sources = [tmp_path / "classify.c", *sorted(library.glob("*.c"))]
    done = subprocess.run([*words, *map(str, sources)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if compiler == "cc":
        (tmp_path / "main.c").write_text(
            "int classify(const float *);\nint main(void) { static const float x[16] = {1.0f};"
            " return classify(x) <= 2 ? 0 : 1; }\n"
        )
        subprocess.run(
            ["cc", "main.c", *(f"{s.stem}.o" for s in sources), "-o", "run"], cwd=tmp_path, check=True
        )
        assert subprocess.run([tmp_path / "run"]).returncode == 0


def test_the_folder_is_as_described(readme: str, folder: Path) -> None:
    (tree,) = [block for block in blocks(readme, "") if block.startswith("out/model/")]
    listed = re.findall(r"(?<=\s)(?:src/)?[\w.\[\]*]+\.(?:\[ch\]|txt|[a-z]+(?:\.npz)?)(?=\s)", tree)
    there = {str(path.relative_to(folder / "out/model")) for path in (folder / "out/model").rglob("*.*")}
    matched = {path for pattern in listed for path in there if Path(path).match(pattern)}
    assert len(listed) >= 7 and matched == there


# --- docs/evaluate.md ---


@pytest.fixture
def page(repository: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The page; scores.py and two parts of the samples lie in the folder beside the rest."""
    text = (repository / "docs/evaluate.md").read_text(encoding="utf-8")
    (folder / "scores.py").write_text(blocks(text, "python")[0])
    data = np.load(folder / "test.npz")
    for i in range(2):
        np.savez(folder / f"part{i}.npz", input=data["input"][i::2], y=data["y"][i::2])
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(repository))
    return text


def run(*words: str | Path) -> str:
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_commands_of_evaluate(page: str) -> None:
    steps = [words for words in commands(page) if "out/model" in words]
    assert len(steps) == 2
    printed = [run("-m", *words) for words in steps]
    assert "agreement" in printed[0]
    assert "balanced_accuracy" in printed[1] and "worst_class.recall" in printed[1]


@pytest.mark.slow
def test_python_of_evaluate(page: str, folder: Path) -> None:
    (folder / "example.py").write_text(blocks(page, "python")[1])
    assert run("example.py").endswith("True\n")


@pytest.mark.slow
def test_a_cluster_of_evaluate(page: str, folder: Path) -> None:
    pytest.importorskip("distributed", reason="dask.distributed is missing: pip install distributed")
    (folder / "example.py").write_text(blocks(page, "python")[2])
    assert run("example.py").startswith("30 {'top-1': ")
