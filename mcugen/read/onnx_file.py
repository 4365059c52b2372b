"""Open an ONNX file that nobody vouches for: parse it, inline its functions, fetch external data, check it.

What comes back holds together (see onnx_check.py): every tensor is as long as it says, all names are defined
once, nodes are in execution order. Which operators can be compiled is not judged here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto

from mcugen.errors import Fault, ModelError, UnsupportedError, UsageError
from mcugen.ir import Array
from mcugen.read import onnx_check
from mcugen.read.fold import constant_value
from mcugen.read.onnx_functions import inline_functions

OPSETS = range(7, 27)
MAX_FILE = 2**31 - 1  # protobuf's own limit
MAX_EXTERNAL = 2**31 - 1  # bytes of all external tensors together
_MAX_FAULTS = 100  # listed one by one

# Reading an infinity is right here: it says "no bound".
_TAKES_INFINITY = frozenset({"Clip", "Max", "Min", "Pad"})
_PASSES_VALUES_ON = frozenset(
    {"Identity", "Cast", "CastLike", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose", "Expand"}
)

_EXPORT_AGAIN = "export the model to ONNX again and check that the file was copied whole"
_TORCH = (
    "a pickled PyTorch file",
    "where its Python code is: torch.export.save(torch.export.export(model.eval(), (example,)), 'model.pt2'),"
    " or torch.onnx.export(model.eval(), (example,), 'model.onnx')",
)


@dataclass(frozen=True)
class LoadedModel:
    """A checked model. `sha256` is that of the file, continued over the external data it uses, if any.

    `opset` is that of the default domain, `bytes` the size of all that was read. Graph inputs that have an
    initializer are constants and no longer listed as inputs. `notes` are for the user to read.
    """

    model: ModelProto
    path: Path
    sha256: str
    opset: int
    bytes: int
    notes: tuple[str, ...] = ()


def load_onnx(path: Path) -> LoadedModel:
    """Read and check an ONNX file, treating it as hostile.

    Raises UsageError if there is no such file, ModelError if it is not a valid model, UnsupportedError if it
    is valid but of an opset or with tensors that cannot be read; each lists all faults it found.
    """
    path = Path(path)
    data = _read(path)
    digest, size = hashlib.sha256(data), len(data)
    model = _parse(data, path)
    del data
    notes: list[str] = []
    if model.ir_version > onnx.IR_VERSION:
        notes.append(
            f"{path.name} is written in IR version {model.ir_version}, newer than the installed onnx"
            f" {onnx.__version__} knows ({onnx.IR_VERSION}); if something is amiss, upgrade onnx"
        )
    opset = _opset(model, path)
    model, faults = inline_functions(model)
    _fail(path, faults)
    unsupported = _check_tensors(model, path)
    for content in _fetch_external(model, path):
        digest.update(content)
        size += len(content)
    _check_graph(model, path, notes)
    if opset not in OPSETS:
        fix = f"export with an opset of {OPSETS[0]} to {OPSETS[-1]}, for example opset_version=17"
        unsupported.insert(0, Fault("", f"opset {opset} is not supported", fix))
    if unsupported:
        raise UnsupportedError(_headline(path, len(unsupported), "that cannot be compiled"), unsupported)
    return LoadedModel(model, path, digest.hexdigest(), opset, size, tuple(notes))


def _headline(path: Path, count: int, what: str = "in the model file") -> str:
    return f"{path.name}: {count} {'fault' if count == 1 else 'faults'} {what}"


def _fail(path: Path, faults: list[Fault]) -> None:
    if faults:
        rest = len(faults) - _MAX_FAULTS
        shown = [*faults[:_MAX_FAULTS], Fault("", f"and {rest} more")] if rest > 0 else faults
        raise ModelError(_headline(path, len(faults)), shown)


def _read(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise UsageError(
                f"{path} is a folder", [Fault("", "an .onnx file is expected", "name the file in it")]
            )
        if not path.exists():
            raise UsageError(
                f"{path}: no such file", [Fault("", "there is no model to read", "check the path")]
            )
        if not path.is_file():
            raise UsageError(f"{path} is not a regular file")
        size = path.stat().st_size
        if size > MAX_FILE:
            fix = "is this a model for a microcontroller? If so, save large tensors as external data"
            _fail(path, [Fault("", f"the file has {size:,} bytes; ONNX files end at {MAX_FILE:,}", fix)])
        with path.open("rb") as file:
            return file.read()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{path} cannot be read: {reason}") from error


def _recognise(data: bytes) -> tuple[str, str] | None:
    """What else the bytes are, and what to do with it; None if they may be ONNX."""
    if not data:
        return "an empty file", _EXPORT_AGAIN
    if data[4:8] == b"TFL3":
        return "a TensorFlow Lite file", "give the float ONNX model it was made from"
    if data[4:8] == b"ORTM":
        return "an onnxruntime .ort file", "give the .onnx file it was made from"
    if data[4:6] == b"ET":
        return "an ExecuTorch file", _TORCH[1]
    if data.startswith(b"PK\x03\x04"):
        if b"data.pkl" in data or b"/version" in data[:4096]:
            return _TORCH
        return "a zip archive", "unpack it and give the .onnx file in it"
    if data[0] == 0x80 and data[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "a Python pickle, perhaps of PyTorch or scikit-learn,", _TORCH[1]
    for magic, what in (
        (b"\x93NUMPY", "a numpy file"),
        (b"\x1f\x8b", "a gzip file"),
        (b"GGUF", "a GGUF file"),
    ):
        if data.startswith(magic):
            return what, "give the .onnx file"
    head = data[:512].lstrip()
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the model itself", "fetch it with `git lfs pull`"
    if head[:9].lower() == b"<!doctype" or head[:5].lower() == b"<html":
        return "a web page", "download the file itself (the raw link)"
    if all(byte in b"\t\n\f\r" or 32 <= byte < 127 for byte in data[:512]):
        return "a text file", "give the binary .onnx file"
    return None


def _parse(data: bytes, path: Path) -> ModelProto:
    if other := _recognise(data):
        _fail(path, [Fault("", f"it is {other[0]}, not ONNX", other[1])])
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except Exception as error:  # protobuf's DecodeError, or what its implementation raises
        why = f"it is not ONNX, or damaged, or cut short ({len(data):,} bytes)"
        raise ModelError(_headline(path, 1), [Fault("", why, _EXPORT_AGAIN)]) from error
    places = onnx_check.text_faults(model)
    _fail(path, [Fault(where, "the text is not UTF-8", _EXPORT_AGAIN) for where in places])
    if not model.HasField("graph"):
        _fail(path, [Fault("", "there is no graph in it; it is not an ONNX model", _EXPORT_AGAIN)])
    return model


def _opset(model: ModelProto, path: Path) -> int:
    """The default domain's opset, whose domain is spelled "" from here on."""
    faults = []
    imports = [entry for function in model.functions for entry in (function, *function.opset_import)]
    for part in (*model.opset_import, *imports, *_all_nodes(model)):
        if part.domain == "ai.onnx":
            part.domain = ""
    versions: dict[str, set[int]] = {}
    for entry in model.opset_import:
        versions.setdefault(entry.domain, set()).add(entry.version)
    for domain, found in versions.items():
        name = domain or "ai.onnx"
        if len(found) > 1:
            faults.append(Fault("", f"opset of {name} is given as {sorted(found)}", _EXPORT_AGAIN))
        elif min(found) < 1:
            faults.append(Fault("", f"opset {min(found)} of {name} does not exist", _EXPORT_AGAIN))
    if "" not in versions:
        faults.append(Fault("", "it does not say which ONNX opset it uses (opset_import)", _EXPORT_AGAIN))
    _fail(path, faults)
    return versions[""].pop()


def _all_nodes(model: ModelProto) -> Iterator[NodeProto]:
    yield from onnx_check.nested_nodes(model.graph.node)
    for function in model.functions:
        yield from onnx_check.nested_nodes(function.node)


def _check_tensors(model: ModelProto, path: Path) -> list[Fault]:
    """Raise for impossible shapes and values (external ones come later); return what cannot be read."""
    faults: list[Fault] = []
    unsupported = [
        Fault(f'initializer "{sparse.values.name}"', "sparse tensors are not supported", "store it dense")
        for sparse in model.graph.sparse_initializer
    ]
    for where, tensor in onnx_check.graph_tensors(model.graph):
        if why := onnx_check.shape_fault(tensor):
            faults.append(Fault(where, why, _EXPORT_AGAIN))
        elif why := onnx_check.type_fault(tensor):
            unsupported.append(Fault(where, why, "store it as float32 or as an integer type"))
        elif tensor.data_location != TensorProto.EXTERNAL and (why := onnx_check.data_fault(tensor)):
            faults.append(Fault(where, why, _EXPORT_AGAIN))
    _fail(path, faults)
    return unsupported


def _fetch_external(model: ModelProto, path: Path) -> Iterator[bytes]:
    """Move external data into the tensors, each range checked against its file before any is read."""
    faults: list[Fault] = []
    ranges: list[tuple[TensorProto, Path, int, int]] = []
    for where, tensor in onnx_check.graph_tensors(model.graph):
        if tensor.data_location != TensorProto.EXTERNAL or onnx_check.type_fault(tensor):
            continue
        try:
            ranges.append((tensor, *_external_range(tensor, path.parent)))
        except (ValueError, OSError, RuntimeError) as error:  # RuntimeError: a ring of links, until 3.12
            reason = getattr(error, "strerror", None) or str(error)
            fix = "keep the model and its data files together in one folder"
            faults.append(Fault(where, f"external data: {reason}", fix))
    total = sum(length for *_, length in ranges)
    if total > MAX_EXTERNAL:
        faults.append(Fault("", f"external data: {total:,} bytes in all, at most {MAX_EXTERNAL:,} are read"))
    _fail(path, faults)
    for tensor, file, offset, length in ranges:
        with file.open("rb") as stream:
            stream.seek(offset)
            content = stream.read(length)
        if len(content) != length:
            _fail(path, [Fault(f'initializer "{tensor.name}"', f"{file.name} ended early", _EXPORT_AGAIN)])
        tensor.raw_data = content
        tensor.data_location = TensorProto.DEFAULT
        del tensor.external_data[:]
        if why := onnx_check.data_fault(tensor):
            _fail(path, [Fault(f'initializer "{tensor.name}"', why, _EXPORT_AGAIN)])
        yield content


def _external_range(tensor: TensorProto, folder: Path) -> tuple[Path, int, int]:
    """File, offset and length; ValueError says what is wrong with them."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    parts = PurePosixPath(location), PureWindowsPath(location)
    if not location or any(part.anchor or ".." in part.parts for part in parts):
        raise ValueError(f'location "{location}" is not inside the model\'s folder')
    root = folder.resolve()
    file = (root / location).resolve()
    if not file.is_relative_to(root):
        raise ValueError(f'"{location}" leads out of the model\'s folder through a link')
    if not file.is_file():
        raise ValueError(f'file "{location}" is missing')
    needed = onnx_check.expected_bytes(tensor)
    numbers = []
    for key, default in (("offset", 0), ("length", needed)):
        text = entries.get(key, str(default))
        if not (text.isascii() and text.isdigit() and len(text) < 20):
            raise ValueError(f'{key} "{text}" is not a number of bytes')
        numbers.append(int(text))
    offset, length = numbers
    if length != needed:
        raise ValueError(f"{length} bytes are given, shape {list(tensor.dims)} needs {needed}")
    if offset + length > file.stat().st_size:
        raise ValueError(f'"{location}" ends at {file.stat().st_size}, the data at {offset + length}')
    return file, offset, length


def _check_graph(model: ModelProto, path: Path, notes: list[str]) -> None:
    """Raise for what keeps the graph from being walked; drop inputs that are constants; sort the nodes."""
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    defaults = len(graph.input) - len(inputs)
    if defaults:
        if model.ir_version >= 4:
            notes.append(f"{defaults} graph inputs have default values and are taken as constants")
        del graph.input[:]
        graph.input.extend(inputs)
    faults = onnx_check.name_faults(graph) + onnx_check.attribute_faults(graph)
    for what, there in (("nodes", graph.node), ("inputs", graph.input), ("outputs", graph.output)):
        if not there:
            faults.append(Fault("graph", f"it has no {what}", _EXPORT_AGAIN))
    _fail(path, faults or onnx_check.sort_nodes(graph))


def nonfinite_initializers(model: ModelProto) -> list[str]:
    """Names of initializers and Constant nodes in use that hold NaN, or an infinity where none belongs.

    An infinity is right only where Clip, Max, Min or Pad read it, directly or through a Cast or Reshape.
    """
    graph = model.graph
    readers: dict[str, list[NodeProto]] = {}
    for node in _used_nodes(graph):
        for name in node.input:
            readers.setdefault(name, []).append(node)
    results = {value.name for value in graph.output}
    found = []
    for name, values in _constants(graph):
        if values.dtype.kind in "biu" or not (name in readers or name in results):
            continue
        if name not in results and all(_is_scale(name, node) for node in readers[name]):
            continue  # the importer says so by node, together with what else is wrong with scales
        if np.isnan(values).any() or (np.isinf(values).any() and not _bounds_only(name, readers, results)):
            found.append(name)
    return found


def _constants(graph: GraphProto) -> Iterator[tuple[str, Array]]:
    for tensor in graph.initializer:
        yield tensor.name, onnx.numpy_helper.to_array(tensor)
    for node in graph.node:
        names = {attribute.name for attribute in node.attribute}
        if node.op_type == "Constant" and node.output and names & {"value", "value_float", "value_floats"}:
            yield node.output[0], constant_value(node)


def _used_nodes(graph: GraphProto) -> Iterable[NodeProto]:
    """Nodes from which a graph output can be reached."""
    wanted = {value.name for value in graph.output}
    used = []
    for node in reversed(graph.node):  # in execution order after load_onnx
        if any(name in wanted for name in node.output):
            wanted.update(node.input, onnx_check.captured(node))
            used.append(node)
    return used


def _is_scale(name: str, node: NodeProto) -> bool:
    return node.op_type in ("QuantizeLinear", "DequantizeLinear") and list(node.input)[1:2] == [name]


def _bounds_only(name: str, readers: dict[str, list[NodeProto]], results: set[str]) -> bool:
    pending, seen = [name], {name}
    while pending:
        current = pending.pop()
        if current in results:
            return False
        for node in readers.get(current, []):
            if node.op_type in _PASSES_VALUES_ON:
                pending += [output for output in node.output if output not in seen]
                seen.update(node.output)
            elif node.op_type not in _TAKES_INFINITY:
                return False
    return True
