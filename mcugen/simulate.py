"""The host twin: the generated sources, compiled with the host's compiler and run from Python through cffi."""

from __future__ import annotations

import hashlib
import math
import os
import stat
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cffi
import numpy as np

from mcugen.errors import Fault, ToolError, UsageError
from mcugen.fixed import dequantize_real, quantize_real
from mcugen.ir import Array
from mcugen.manifest import load_manifest
from mcugen.render import environment
from mcugen.tools import require_tool, run_tool

CDEF = """
size_t mcugen_host_size(void);
void mcugen_host_reset(void *memory);
void mcugen_host_run(void *memory, const int8_t *inputs, int8_t *outputs, int8_t *traces, size_t count);
"""
Samples = Array | Sequence[Array] | Mapping[str, Array]


def cache_dir() -> Path:
    """Where compiled twins are kept: $MCUGEN_CACHE, else the user's cache folder, else a temporary one."""
    wanted = os.environ.get("MCUGEN_CACHE")
    try:
        user = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        base = Path(wanted) if wanted else Path(user) / "mcugen"
        base.mkdir(parents=True, exist_ok=True)
        if os.access(base, os.W_OK):
            return base.resolve()
    except (OSError, RuntimeError):  # RuntimeError: nobody knows the home folder
        pass
    # Programs are loaded from here: a folder that somebody else made in advance is not taken.
    base = Path(tempfile.gettempdir()) / f"mcugen-{os.getuid()}"
    try:
        base.mkdir(mode=0o700, exist_ok=True)
        owner = base.lstat()
        if stat.S_ISDIR(owner.st_mode) and owner.st_uid == os.getuid() and not owner.st_mode & 0o022:
            return base
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="mcugen-"))


class HostLibrary:
    """A generated folder, runnable. Samples run in order in one arena, as on the target.

    `folder`: what `mcugen build` wrote. `compiler` and `flags` choose how the C is compiled.
    Raises UsageError for another folder, ToolError without a compiler.
    """

    def __init__(
        self,
        folder: str | Path,
        compiler: str | None = None,
        flags: Sequence[str] = ("-O3",),
        cache: Path | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.manifest = load_manifest(self.folder)
        self.inputs: list[dict[str, Any]] = self.manifest["inputs"]
        self.outputs: list[dict[str, Any]] = self.manifest["outputs"]
        self.layers: list[dict[str, Any]] = self.manifest["layers"]
        self._ffi = cffi.FFI()
        self._ffi.cdef(CDEF)
        self._lib = self._load(compiler or os.environ.get("CC") or "cc", list(flags), cache or cache_dir())
        self._memory = np.full(self._lib.mcugen_host_size() + 64, 0xA5, np.uint8)
        address = self._memory.ctypes.data
        self._net = self._ffi.cast("void *", address + -address % 64)
        self.reset()

    def _load(self, compiler: str, flags: list[str], cache: Path) -> Any:
        """The compiled twin; a damaged one in the cache is compiled again."""
        shared = self._compile(compiler, flags, cache)
        try:
            return self._ffi.dlopen(str(shared))
        except OSError:
            shared.unlink(missing_ok=True)
        shared = self._compile(compiler, flags, cache)
        try:
            return self._ffi.dlopen(str(shared))
        except OSError as error:
            fix = "compile for this computer (CC=gcc or CC=clang)"
            raise ToolError("the host twin cannot be loaded", [Fault(compiler, str(error), fix)]) from None

    def _compile(self, compiler: str, flags: list[str], cache: Path) -> Path:
        """Compile the folder's sources and the twin's own file once; the cache's key is all that matters."""
        command = compiler.split()
        command[0] = str(require_tool(command[0]))
        name = self.manifest["name"]
        layers = [{"offset": e["output"]["offset"], "bytes": e["output"]["bytes"]} for e in self.layers]
        ports = {"inputs": self._ports(self.inputs), "outputs": self._ports(self.outputs)}
        state = self.manifest["memory"]["state"]
        host = environment().get_template("host.c.j2").render(name=name, layers=layers, state=state, **ports)
        folder = (self.folder / "src").resolve()
        sources = sorted(folder.glob("*.[ch]"))
        key = hashlib.sha256(repr((command, flags)).encode() + host.encode())
        key.update(run_tool([command[0], "--version"], timeout=60).stdout.encode())
        for source in sources:
            key.update(source.name.encode() + b"\0" + source.read_bytes())
        shared = cache / f"{name}-{key.hexdigest()[:32]}.so"
        if shared.exists():
            return shared
        with tempfile.TemporaryDirectory(dir=cache) as work:
            main, result = Path(work) / "host.c", Path(work) / "twin.so"
            main.write_text(host, encoding="utf-8")
            files = [str(s) for s in sources if s.suffix == ".c"]
            command += ["-std=c99", *flags, "-fPIC", "-shared", "-DMCUGEN_LAYER_HOOK=mcugen_host_layer"]
            command += [f"-I{folder}", *files, str(main), "-o", str(result)]
            run = run_tool(command, timeout=600)
            if run.returncode:
                raise ToolError(
                    f"{name}: {compiler} cannot compile the generated C",
                    [
                        Fault(
                            compiler, run.stderr.strip()[-2000:], "try another compiler (CC=gcc or CC=clang)"
                        )
                    ],
                )
            result.replace(shared)
        return shared

    @staticmethod
    def _ports(ports: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        several = len(ports) > 1
        return [{"bytes": p["bytes"], "argument": f", {i}" if several else ""} for i, p in enumerate(ports)]

    # --- running ---

    def _split(self, x: Samples) -> list[Any]:
        """What was given for each input."""
        names = [p["name"] for p in self.inputs]
        if isinstance(x, Mapping):
            unknown = [str(n) for n in x if n not in names]
            missing = [n for n in names if n not in x]
            if unknown or missing:
                raise UsageError(
                    "the inputs' names do not fit",
                    [Fault("x", f"missing {missing}, unknown {unknown}", f"give {names}")],
                )
            return [x[n] for n in names]
        if len(names) == 1:
            # A list may hold the samples, or the one input's array as for a model of several inputs.
            axes = len(self.inputs[0]["shape"]) + 1
            wrapped = isinstance(x, list | tuple) and len(x) == 1 and isinstance(x[0], np.ndarray)
            return [x[0]] if wrapped and np.ndim(x[0]) == axes else [x]
        if not isinstance(x, list | tuple) or len(x) != len(names):
            given = f"{len(x)} arrays" if isinstance(x, list | tuple) else "one array"
            raise UsageError(
                "the model has several inputs",
                [Fault("x", f"holds {given}", f"give a list of {len(names)} or a dict by name: {names}")],
            )
        return list(x)

    def _gather(self, x: Samples, exact: bool) -> list[Array]:
        """One array [N, *shape] per input, checked; `exact`: of the type that the C takes."""
        arrays, faults = [], []
        for port, given in zip(self.inputs, self._split(x), strict=True):
            where = f'input "{port["name"]}"'
            expected = "[" + ", ".join(["N", *(str(d) for d in port["shape"])]) + "]"
            try:
                array = np.asarray(given)
            except ValueError:
                faults.append(Fault(where, "its samples have different shapes", f"give {expected}"))
                continue
            arrays.append(array)
            if array.ndim == 0 or list(array.shape[1:]) != port["shape"]:
                faults.append(Fault(where, f"has the shape {list(array.shape)}", f"give {expected}"))
            if exact and array.dtype != port["dtype"]:
                fix = f"give {port['dtype']}, or use run_float"
                faults.append(Fault(where, f"is {array.dtype}, not {port['dtype']}", fix))
            elif array.dtype.kind not in "fiub":
                faults.append(Fault(where, f"is {array.dtype}", "give real numbers"))
        if len({len(a) for a in arrays if a.ndim}) > 1:
            faults.append(Fault("x", "the inputs have different numbers of samples", "give as many of each"))
        if faults:
            raise UsageError("the samples do not fit the model", faults)
        return arrays

    def _execute(self, arrays: Sequence[Array], trace: bool) -> tuple[list[Array], list[Array]]:
        count = len(arrays[0])
        rows = [as_bytes(a) for a in arrays]
        flat = np.ascontiguousarray(np.concatenate(rows, axis=1))
        sizes = [p["bytes"] for p in self.outputs]
        out = np.zeros((count, sum(sizes)), np.int8)
        traced = [e["output"]["bytes"] for e in self.layers]
        traces = np.zeros((count, sum(traced)) if trace else (0,), np.int8)
        cast = self._ffi.cast
        self._lib.mcugen_host_run(
            self._net,
            cast("int8_t *", flat.ctypes.data),
            cast("int8_t *", out.ctypes.data),
            cast("int8_t *", traces.ctypes.data) if trace and traced else self._ffi.NULL,
            count,
        )
        results = [
            np.ascontiguousarray(part).view(port["dtype"]).reshape(count, *port["shape"])
            for part, port in zip(np.split(out, np.cumsum(sizes)[:-1], axis=1), self.outputs, strict=True)
        ]
        layers = np.split(traces, np.cumsum(traced)[:-1], axis=1) if trace and traced else []
        return results, list(layers)

    def run(self, x: Samples) -> Any:
        """[N, *input_shape] (a list or a dict by name for several inputs) to [N, *output_shape] (a list for several
        outputs, a dict if a dict was given), of the types in `inputs` and `outputs`: int8, and int32 for indices, if
        nothing else was asked for. Raises UsageError where shapes or types do not fit."""
        results, _ = self._execute(self._gather(x, True), trace=False)
        return self._shape_result(x, results)

    def run_layers(self, x: Samples) -> tuple[list[Array], list[Array]]:
        """Outputs [N, *shape], and every layer's output int8 [N, bytes] in layer order."""
        return self._execute(self._gather(x, True), trace=True)

    def quantize_inputs(self, x: Samples) -> list[Array]:
        """Real samples [N, *input_shape] as what the C takes: nearest integer, halves away from zero, saturated."""
        arrays = self._gather(x, False)
        return [quantize_port(a, p) for a, p in zip(arrays, self.inputs, strict=True)]

    def run_float(self, x: Samples) -> Any:
        """The same as `run` for real numbers: quantizes the input, dequantizes the output to float32; indices stay
        int32."""
        results, _ = self._execute(self.quantize_inputs(x), trace=False)
        return self._shape_result(
            x, [dequantize_port(r, p) for r, p in zip(results, self.outputs, strict=True)]
        )

    def _shape_result(self, x: Samples, results: list[Array]) -> Any:
        if isinstance(x, Mapping) and len(results) > 1:
            return {p["name"]: r for p, r in zip(self.outputs, results, strict=True)}
        return results[0] if len(results) == 1 else results

    def reset(self) -> None:
        """Forget all samples so far: clears the model's state, where it has one."""
        self._lib.mcugen_host_reset(self._net)


def as_bytes(values: Array) -> Array:
    """Elements [N, ...] as they lie in memory, int8 [N, bytes]."""
    rows = values.reshape(len(values), math.prod(values.shape[1:]))
    return np.ascontiguousarray(rows).view(np.int8)


def quantize_port(real: Array, port: Mapping[str, Any]) -> Array:
    """A port's elements for real values; what has no scale as it is."""
    if port["scale"] is None:
        return np.asarray(real, port["dtype"])
    return quantize_real(real, port["scale"], int(port["zero_point"]), port["dtype"])


def dequantize_port(q: Array, port: Mapping[str, Any]) -> Array:
    """float32 values of a port's elements; real numbers, and indices, which have no scale, as they are."""
    return q if port["scale"] is None else dequantize_real(q, port["scale"], int(port["zero_point"]))
