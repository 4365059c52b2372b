"""The command line: exit codes, what stands on stdout and stderr, nothing half-written, no traceback."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import zoo
from onnx import numpy_helper

from mcugen import __version__, cli
from mcugen.boards import board_names

COMMANDS = ("build", "verify", "evaluate", "analyze", "boards", "ops", "doctor")


@dataclass(frozen=True)
class Run:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def headline(self) -> str:
        return self.err.splitlines()[0]


@pytest.fixture
def mcugen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Run]:
    """Runs the command line in tmp_path, in this process."""
    monkeypatch.chdir(tmp_path)

    def run(*words: Any) -> Run:
        monkeypatch.setattr(sys, "argv", ["mcugen", *map(str, words)])
        with pytest.raises(SystemExit) as raised:
            cli.main()
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return Run(int(raised.value.code or 0), out, err)

    return run


@pytest.fixture(scope="module")
def samples() -> np.ndarray[Any, Any]:
    return np.random.default_rng(3).standard_normal((20, 1, 4, 4)).astype(np.float32)


@pytest.fixture
def work(tmp_path: Path, samples: np.ndarray[Any, Any]) -> Path:
    """small.onnx (input `x`) and good.npz."""
    zoo.small(tmp_path)
    np.savez(tmp_path / "good.npz", x=samples)
    return tmp_path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, samples: np.ndarray[Any, Any]) -> Path:
    """A folder with small.onnx and its library in out/small; copy it before you change it."""
    from mcugen import build

    folder = tmp_path_factory.mktemp("built")
    build(zoo.small(folder), calib=samples, out=folder / "out")
    return folder


def edit(source: Path, target: Path, change: Callable[[onnx.ModelProto], object]) -> Path:
    """A copy of a model with a change."""
    model = onnx.load(source)
    change(model)
    onnx.save(model, target)
    return target


# --- exit 0 ---


def test_version_and_help(mcugen: Callable[..., Run]) -> None:
    assert mcugen("--version") == Run(0, f"{__version__}\n", "")
    shown = mcugen("-h").out
    assert all(command in shown for command in COMMANDS) and "Exit codes: 0 fine" in shown


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_is_complete(mcugen: Callable[..., Run], command: str) -> None:
    run = mcugen(command, "-h")
    assert run.code == 0 and max(map(len, run.out.splitlines())) <= 100
    assert "Print only JSON on stdout" in run.out
    if command in ("build", "verify", "evaluate", "analyze"):
        assert f"Examples:\n    mcugen {command} " in run.out


def test_examples_of_the_help_name_options_that_exist(mcugen: Callable[..., Run]) -> None:
    for command in ("build", "verify", "evaluate", "analyze"):
        shown = mcugen(command, "-h").out
        head, _, examples = shown.partition("Examples:")
        used = set(re.findall(r"(?<= )--?[a-z-]+", examples.split("|")[0]))
        assert used and all(re.search(rf"(?<![\w-]){option}(?![\w-])", head) for option in used), used


def test_the_main_job(mcugen: Callable[..., Run], work: Path) -> None:
    run = mcugen("build", "small.onnx", "--calib", "good.npz")
    assert run.code == 0 and not run.err, run.err
    assert "wrote   out/small/ for cortex-m4" in run.out
    run = mcugen("verify", "out/small", "--data", "good.npz", "--model", "small.onnx")
    assert run.code == 0 and "verdict equal, byte for byte" in run.out
    assert "host    0 of 60 output bytes differ" in run.out and "same class in" in run.out


@pytest.mark.parametrize("command", [("boards",), ("ops",), ("doctor",)])
def test_lists_are_whole_and_plain_in_a_pipe(mcugen: Callable[..., Run], command: tuple[str, ...]) -> None:
    run = mcugen(*command)
    assert run.code == 0 and not run.err
    assert "…" not in run.out and not any(line.endswith(" ") for line in run.out.splitlines())


def test_boards_lists_every_board_on_one_line(mcugen: Callable[..., Run]) -> None:
    lines = mcugen("boards").out.splitlines()
    assert [line.split()[0] for line in lines[1 : 1 + len(board_names())]] == board_names()


def test_lists_fit_a_terminal_of_80_columns(
    monkeypatch: pytest.MonkeyPatch, mcugen: Callable[..., Run]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR", "1")
    for command in ("boards", "ops", "doctor"):
        shown = re.sub(r"\x1b\[[0-9;]*m", "", mcugen(command).out)
        table, _, rest = shown.partition("\n\n")
        assert "…" not in shown and max(map(len, table.splitlines())) <= 80, (command, table)
        assert rest


# --- JSON ---


@pytest.mark.parametrize("command", [("boards",), ("ops",), ("doctor",)])
def test_json_of_lists(mcugen: Callable[..., Run], command: tuple[str, ...]) -> None:
    run = mcugen(*command, "--json")
    assert run.code == 0 and json.loads(run.out) and not run.err


def test_json_is_all_of_stdout(mcugen: Callable[..., Run], work: Path) -> None:
    run = mcugen("build", "small.onnx", "--calib", "random", "--json")
    manifest = json.loads(run.out)
    assert manifest == json.loads((work / "out/small/small.json").read_text())
    assert any("RANDOM DATA" in note for note in manifest["notes"])
    assert "Calibrated with random numbers" in run.err
    report = json.loads(mcugen("verify", "out/small", "--model", "small.onnx", "--json").out)
    assert report["ok"] is True and [layer["different"] for layer in report["layers"]] == [0, 0, 0]
    result = json.loads(mcugen("analyze", "small.onnx", "--json").out)
    assert result["fits"] is None and result["memory"]["arena"] == manifest["memory"]["arena"]


def test_the_aim_stands_in_manifest_and_header(mcugen: Callable[..., Run], work: Path) -> None:
    manifest = json.loads(
        mcugen("build", "small.onnx", "--calib", "random", "--optimize", "size", "--json").out
    )
    command = "mcugen build small.onnx --board cortex-m4 --calib random --optimize size"
    assert manifest["optimize"] == "size" and manifest["command"] == command
    assert f" *   {command}\n" in (work / "out/small/src/small.c").read_text()
    words = ("analyze", "small.onnx", "--optimize", "ram", "--explain")
    result = json.loads(mcugen(*words, "--json").out)
    assert result["optimize"] == "ram" and result["layers"][0]["candidates"][0]["chosen"]
    assert "choice  ram: about " in mcugen(*words).out
    run = mcugen("build", "small.onnx", "--optimize", "fast")
    assert run.code == 2 and "one of speed, size, ram, balanced" in run.err


def test_json_errors_leave_stdout_empty(mcugen: Callable[..., Run], work: Path) -> None:
    for words in (("build", "none.onnx"), ("analyze", "none.onnx"), ("verify", "none")):
        run = mcugen(*words, "--json")
        assert run.code == 2 and not run.out and run.err


# --- exit 2: usage and data ---


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "Usage: mcugen"),
        (("frobnicate",), "No such command"),
        (("biuld",), "Did you mean 'build'"),
        (("build",), "Missing argument 'MODEL'"),
        (("build", "small.onnx", "--calibrate", "x"), "No such option"),
        (("build", "small.onnx", "--percentile", "many"), "valid number"),
        (("build", "small.onnx"), "--calib random for a first try"),
        (("build", "missing.onnx", "--calib", "good.npz"), "missing.onnx: no such file"),
        (("build", ".", "--calib", "good.npz"), "is a folder"),
        (("build", "small.onnx", "--calib", "missing.npz"), "no such file or folder"),
        (("build", "small.onnx", "--calib", "missing.json"), "no such file"),
        (("build", "small.onnx", "--calib", "small.onnx"), "neither .npz nor .npy"),
        (("build", "small.onnx", "--calib", "nowhere:samples"), "no module nowhere"),
        (("build", "small.onnx", "--calib", "good.npz", "-b", "nucleo-f446"), "did you mean nucleo-f446re"),
        (("build", "small.onnx", "--calib", "good.npz", "-b", "mine.toml"), "no such file"),
        (("build", "small.onnx", "--calib", "good.npz", "-n", "int"), "choose one with -n"),
        (("build", "small.onnx", "--calib", "good.npz", "-n", ""), "choose one with -n"),
        (("build", "small.onnx", "--calib", "good.npz", "--percentile", "50"), "50 is not above 50"),
        (("build", "small.onnx", "--calib", "good.npz", "--percentile", "nan"), "nan is not above 50"),
        (("build", "small.onnx", "--calib", "old.json", "--percentile", "99"), "hold no samples"),
        (("analyze", "small.onnx", "-b", "cortex-m5"), "did you mean cortex-m"),
        (("analyze", "missing.onnx"), "no such file"),
        (("verify", "nowhere"), "no such folder"),
        (("verify", "small.onnx"), "is a file"),
        (("verify", "."), "holds no library"),
    ],
)
def test_usage(mcugen: Callable[..., Run], work: Path, words: tuple[str, ...], says: str) -> None:
    before = sorted(work.rglob("*"))
    run = mcugen(*words)
    assert run.code == 2 and says in run.out + run.err
    assert not run.out or not words  # without any, the help
    assert sorted(work.rglob("*")) == before, "something was written"


def test_an_error_has_a_headline_a_place_and_a_remedy(mcugen: Callable[..., Run], work: Path) -> None:
    run = mcugen("build", "small.onnx")
    assert run.err.splitlines() == [
        "a float model needs calibration data",
        "  --calib: not given",
        "    fix: --calib data.npz with some hundred real samples (or --calib random for a first try)",
    ]


def bad_data(x: np.ndarray[Any, Any]) -> dict[str, tuple[dict[str, Any], str]]:
    nan = x.copy()
    nan[3, 0, 0, 0] = np.nan
    return {
        "shape": (
            {"x": x[:, :, :3]},
            "shape [20, 1, 3, 4]; the model expects float32 samples of shape [1, 4, 4]",
        ),
        "names": ({"a": x, "b": x}, 'no array has its name; there are "a"'),
        "integers": ({"x": (10 * x).astype(np.int8)}, "int8; the model expects float32"),
        "nan": ({"x": nan}, "the first in sample 3"),
        "empty": ({"x": x[:0]}, "there are no samples in it"),
        "pickle": ({"x": np.array([{}], dtype=object)}, "pickles are never loaded"),
    }


@pytest.mark.parametrize("kind", ["shape", "names", "integers", "nan", "empty", "pickle"])
def test_bad_data(
    mcugen: Callable[..., Run], work: Path, samples: np.ndarray[Any, Any], built: Path, kind: str
) -> None:
    arrays, says = bad_data(samples)[kind]
    np.savez(work / "bad.npz", **arrays)
    run = mcugen("build", "small.onnx", "--calib", "bad.npz")
    assert run.code == 2 and says in run.err and "fix: " in run.err
    assert not (work / "out").exists()
    run = mcugen("verify", built / "out/small", "--data", "bad.npz")
    assert run.code == 2 and says in run.err and not run.out


def test_a_board_file_lists_all_its_faults(mcugen: Callable[..., Run], work: Path) -> None:
    (work / "mine.toml").write_text('name = "mine"\nfoo = 3\n')
    run = mcugen("analyze", "small.onnx", "-b", "mine.toml")
    assert run.code == 2 and run.err.count("fix: ") == 4


@pytest.mark.parametrize(
    "obstacle",
    ["a file for the folder", "a file on the way", "a foreign folder", "another library", "no rights"],
)
def test_out_folder(mcugen: Callable[..., Run], work: Path, obstacle: str) -> None:
    out, victim = work / "out", work / "out/small"
    if obstacle == "a file for the folder":
        out.mkdir()
        victim.write_text("mine")
    elif obstacle == "a file on the way":
        out.write_text("mine")
    elif obstacle == "no rights":
        out = Path("/proc/mcugen")
    else:
        victim.mkdir(parents=True)
        (victim / "thesis.txt").write_text("mine")
        if obstacle == "another library":
            (victim / "other.json").write_text('{"mcugen": "0", "name": "other"}')
    before = {path: path.is_file() and path.read_bytes() for path in work.rglob("*")}
    run = mcugen("build", "small.onnx", "--calib", "good.npz", "-o", out)
    assert run.code == 2 and "fix: " in run.err, run
    assert {path: path.is_file() and path.read_bytes() for path in work.rglob("*")} == before


def test_a_library_is_replaced_by_a_newer_one(mcugen: Callable[..., Run], work: Path) -> None:
    for board in ("cortex-m4", "cortex-m0"):
        assert mcugen("build", "small.onnx", "--calib", "good.npz", "-b", board).code == 0
    assert json.loads((work / "out/small/small.json").read_text())["target"]["board"] == "cortex-m0"
    assert [path.name for path in (work / "out").iterdir()] == ["small"]


def test_a_wanted_name_that_changes_is_said(mcugen: Callable[..., Run], work: Path) -> None:
    run = mcugen("build", "small.onnx", "--calib", "good.npz", "-n", "My Net")
    assert run.code == 0 and "note: the library is called my_net" in run.out
    assert (work / "out/my_net/my_net.json").is_file()


# --- exit 3 and 4: models ---


def test_broken_files(mcugen: Callable[..., Run], work: Path) -> None:
    whole = (work / "small.onnx").read_bytes()
    for name, content in {
        "empty.onnx": b"",
        "text.txt": b"hello, this is no model",
        "cut.onnx": whole[:200],
        "noise.onnx": bytes(range(256)) * 8,
        "model.tflite": b"\x1c\0\0\0TFL3" + bytes(64),
    }.items():
        (work / name).write_bytes(content)
        for words in (("analyze", name), ("build", name, "--calib", "good.npz")):
            run = mcugen(*words)
            assert run.code == 3 and name in run.headline and "fix: " in run.err, run


def test_dynamic_shape(mcugen: Callable[..., Run], work: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"

    edit(work / "small.onnx", work / "dynamic.onnx", change)
    run = mcugen("analyze", "dynamic.onnx")
    assert run.code == 3 and '"x"' in run.err and "fixed" in run.err


def test_weights_that_are_no_numbers(mcugen: Callable[..., Run], work: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        weights = numpy_helper.to_array(model.graph.initializer[0]).copy()
        weights.flat[5] = np.inf
        model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, "w1"))

    edit(work / "small.onnx", work / "inf.onnx", change)
    run = mcugen("build", "inf.onnx", "--calib", "good.npz")
    assert run.code == 3 and '"w1"' in run.err


def test_all_unsupported_operators_at_once(mcugen: Callable[..., Run], work: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.node[1].op_type = "NonMaxSuppression"
        model.graph.node[2].op_type = "Det"

    edit(work / "small.onnx", work / "odd.onnx", change)
    for words in (("analyze", "odd.onnx"), ("build", "odd.onnx", "--calib", "good.npz")):
        run = mcugen(*words)
        assert run.code == 4 and run.headline == "odd.onnx: 2 operators cannot be compiled"
        assert 'onnx:NonMaxSuppression "relu"' in run.err and 'onnx:Det "flatten"' in run.err
        assert run.err.count("fix: ") == 2


# --- exit 5: fit ---


@pytest.mark.parametrize(("model", "memory"), [("vww", "RAM"), ("ad", "flash")])
def test_too_large_for_the_board(
    mcugen: Callable[..., Run], models: dict[str, Path], tmp_path: Path, model: str, memory: str
) -> None:
    run = mcugen("analyze", models[model], "-b", "bbc-microbit-v1")
    assert run.code == 5 and "fit     no, bbc-microbit-v1" in run.out
    assert run.headline == f"{models[model].name} does not fit bbc-microbit-v1"
    assert re.search(rf"  {memory}: .* [\d,]+ bytes more than the board's", run.err)
    assert "a larger board, such as" in run.err
    run = mcugen("build", models[model], "--calib", "random", "-b", "bbc-microbit-v1", "--json")
    assert run.code == 5 and not run.out and not (tmp_path / "out").exists()


# --- exit 6 and 7: verify ---


@pytest.fixture
def copy(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built / "out/small", tmp_path / "copy"))


def test_edited_weights_are_found(mcugen: Callable[..., Run], copy: Path) -> None:
    weights = copy / "src/small_weights.c"
    text = weights.read_text()
    number = re.search(r"(?<=[{\s])-?\d+(?=,)", text)
    assert number
    weights.write_text(
        text[: number.start()] + str(-100 if int(number[0]) > 0 else 100) + text[number.end() :]
    )
    run = mcugen("verify", copy)
    assert run.code == 6 and "DIFFERENT" in run.out
    assert run.headline == "small: the C differs from the integer reference"
    assert 'layer 0 "' in run.err and "src/small_weights.c was changed" in run.err
    assert json.loads(mcugen("verify", copy, "--json").out)["ok"] is False


@pytest.mark.parametrize("name", ["small.graph.npz", "src/small.c", "src/small.h"])
@pytest.mark.parametrize("how", ["gone", "broken"])
def test_damaged_libraries(mcugen: Callable[..., Run], copy: Path, name: str, how: str) -> None:
    if how == "gone":
        (copy / name).unlink()
    else:
        (copy / name).write_bytes((copy / name).read_bytes()[:300] + b"\n}")
    run = mcugen("verify", copy)
    assert run.code == 6 and name in run.err and "build the library again" in run.err, run


def test_damaged_manifests(mcugen: Callable[..., Run], copy: Path) -> None:
    manifest = json.loads((copy / "small.json").read_text())
    for change in ({"schema": 99}, {"layers": None}, {"inputs": {}}):
        (copy / "small.json").write_text(json.dumps(manifest | change))
        run = mcugen("verify", copy)
        assert run.code == 2 and "build the library again" in run.err
    (copy / "small.json").write_text("{")
    assert mcugen("verify", copy).code == 2


def test_verify_names_the_libraries_in_a_folder(mcugen: Callable[..., Run], built: Path) -> None:
    run = mcugen("verify", built / "out")
    assert run.code == 2 and f"did you mean {built}/out/small?" in run.err


def test_verify_with_the_model_of_another_library(
    mcugen: Callable[..., Run], built: Path, tmp_path: Path
) -> None:
    run = mcugen("verify", built / "out/small", "--model", zoo.no_constants(tmp_path))
    assert run.code == 2 and "SHA-256" in run.err


def test_board_without_emulate(mcugen: Callable[..., Run], built: Path) -> None:
    run = mcugen("verify", built / "out/small", "--board", "cortex-m3")
    assert run.code == 2 and "add --emulate" in run.err


def test_the_host_has_no_emulator(mcugen: Callable[..., Run], built: Path) -> None:
    run = mcugen("verify", built / "out/small", "--emulate", "--board", "host")
    assert run.code == 2 and "--board cortex-m4" in run.err


def test_missing_tools(
    mcugen: Callable[..., Run], built: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    library = built / "out/small"
    monkeypatch.setenv("CC", "nonsense")
    run = mcugen("verify", library)
    assert run.code == 7 and "nonsense" in run.err and "fix: " in run.err
    monkeypatch.setenv("CC", "cc -no-such-option")
    run = mcugen("verify", library)
    assert run.code == 7 and "cannot compile" in run.err
    monkeypatch.delenv("CC")
    monkeypatch.setenv("PATH", str(tmp_path))
    run = mcugen("verify", library)
    assert run.code == 7 and "sudo apt-get install gcc" in run.err
    run = mcugen("doctor")
    assert run.code == 0 and "qemu-system-arm is missing: sudo apt-get install qemu-system-arm" in run.out


@pytest.mark.parametrize("there", ["cc", "cc arm-none-eabi-gcc arm-none-eabi-size arm-none-eabi-objcopy"])
def test_missing_cross_compiler_or_emulator(
    mcugen: Callable[..., Run], built: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, there: str
) -> None:
    (tmp_path / "bin").mkdir()
    for name in [*there.split(), "as", "ld"]:
        found = shutil.which(name)
        if found:
            (tmp_path / "bin" / name).symlink_to(found)
        elif name == "arm-none-eabi-gcc":
            pytest.skip("arm-none-eabi-gcc is missing: sudo apt-get install gcc-arm-none-eabi")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    run = mcugen("verify", built / "out/small", "--emulate")
    missing = "arm-none-eabi-gcc" if there == "cc" else "qemu-system-arm"
    assert run.code == 7 and f"{missing}: is not installed" in run.err and "sudo apt-get install" in run.err


# --- the process ---


def _spawn(*words: Any, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "mcugen", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_python_m_mcugen(repository: Path) -> None:
    process = _spawn("analyze", "missing.onnx", cwd=repository)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2 and not out and err.startswith("missing.onnx: no such file\n")


def test_interrupt(repository: Path, work: Path) -> None:
    (work / "slow.py").write_text(
        "import time\ndef samples():\n    print('ready', flush=True)\n    time.sleep(60)\n    yield []\n"
    )
    env = {**os.environ, "PYTHONPATH": f"{repository}:{work}"}
    process = _spawn("build", "small.onnx", "--calib", "slow:samples", cwd=work, env=env)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err
    assert not (work / "out").exists()


def test_a_reader_that_goes_away_gets_no_complaint(repository: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        command = [sys.executable, "-m", "mcugen", "boards", "--json"]
        done = subprocess.run(command, cwd=repository, stdout=write, stderr=subprocess.PIPE, timeout=60)
    finally:
        os.close(write)
    assert not done.stderr


@pytest.mark.parametrize("words", [("--help",), ("build", "--help"), ("boards",)])
def test_help_and_lists_load_no_compiler(repository: Path, words: tuple[str, ...]) -> None:
    code = (
        "import sys; sys.argv[0] = 'mcugen'\nfrom mcugen import cli\n"
        "try: cli.main()\nexcept SystemExit: pass\n"
        "print(*sorted(m for m in ('onnx', 'onnxruntime', 'highspy', 'cffi', 'numpy') if m in sys.modules),"
        " file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=repository, capture_output=True, text=True, timeout=60
    )
    assert done.stdout and done.stderr.split() == []


def test_a_bug_of_ours_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("mcugen.boards.list_boards", fail)
    monkeypatch.setattr(sys, "argv", ["mcugen", "boards"])
    with pytest.raises(SystemExit) as raised:
        cli.main()
    err = capsys.readouterr().err
    assert raised.value.code == 1 and "ZeroDivisionError" in err and "bug of mcugen" in err


@pytest.mark.parametrize("words", [("boards",), ("boards", "--json"), ("ops",), ("--help",)])
def test_a_full_disk(repository: Path, words: tuple[str, ...]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("/dev/full is of Linux")
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "mcugen", *words]
        done = subprocess.run(command, cwd=repository, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2 and done.stderr == "No space left on device\n"


def test_names_beyond_the_terminals_encoding(repository: Path, work: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.node[0].name = "Größe → 日本"
        model.graph.input[0].name = model.graph.node[0].input[0] = "größe"

    edit(work / "small.onnx", work / "größe.onnx", change)
    env = {**os.environ, "PYTHONPATH": str(repository), "PYTHONIOENCODING": "ascii"}
    process = _spawn("analyze", "größe.onnx", cwd=work, env=env)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and not err and "\\u65e5" in out


def test_a_damaged_cache_is_mended(
    mcugen: Callable[..., Run], built: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("MCUGEN_CACHE", str(cache))
    cache.mkdir()
    library = shutil.copytree(built / "out/small", tmp_path / "copy")
    with (library / "src/small.c").open("a") as source:  # no other test has loaded this one
        source.write(f"/* {tmp_path} */\n")
    build_only = "from mcugen import HostLibrary; import sys; HostLibrary(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build_only, library], check=True, cwd=Path(__file__).parent.parent)
    (shared,) = cache.glob("*.so")
    shared.write_bytes(b"junk")
    run = mcugen("verify", library)
    assert run.code == 0 and "verdict equal" in run.out
