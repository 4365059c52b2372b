"""Open numpy files that nobody vouches for: headers first, values later and only of wanted arrays.

Nothing is unpickled, and no memory is taken for sizes that a header or a zip directory merely claims.
"""

from __future__ import annotations

import math
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from mcugen.errors import Fault
from mcugen.ir import Array

LABELS = ("labels", "y")
_FEW = 5  # names listed in a note
_RESAVE = "save it again with numpy.savez or numpy.save"


@dataclass(frozen=True)
class Entry:
    """An array that can be read: parts that follow one another along the first axis, the sample axis."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    parts: tuple[Callable[[], Array], ...]

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass
class Table:
    """Arrays by name ("" for the one of a .npy file), with what was wrong and what is worth saying."""

    entries: dict[str, Entry] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def entry_of(array: Array) -> Entry:
    return Entry(array.shape, array.dtype, (lambda: array,))


def open_path(path: Path) -> Table:
    """The arrays of a .npz or .npy file (recognised by content), or of a folder of either."""
    try:
        if path.is_dir():
            return _open_folder(path)
        if not path.is_file():
            return Table(
                faults=[Fault(str(path), "not a regular file", "give a .npz or .npy file or a folder")]
            )
        with path.open("rb") as stream:
            magic = stream.read(6)
        if magic == b"\x93NUMPY":
            return Table({"": _open_npy(path)})
        if magic[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
            return _open_npz(path)
    except Exception as error:  # zipfile, zlib and numpy raise a dozen types on damaged files
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return Table(faults=[Fault(str(path), f"it cannot be read: {reason}", _RESAVE)])
    if magic[:1] == b"\x80":
        why = "it is a Python pickle, which can run any code and is never loaded"
        return Table(faults=[Fault(str(path), why, "save plain arrays with numpy.savez")])
    why = "it is empty" if not magic else "it is neither .npz nor .npy"
    return Table(faults=[Fault(str(path), why, "save the samples with numpy.savez")])


def _open_header(stream: IO[bytes], size: int) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and dtype of a .npy stream of `size` bytes; ValueError unless the values are all there."""
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(stream)
    if version not in readers:
        raise ValueError(f"version {version} of the .npy format is not supported")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shape, _, dtype = readers[version](stream)
    if any(length < 0 for length in shape):
        raise ValueError(f"shape {shape} is negative")
    there = size - stream.tell()
    needed = math.prod(shape) * max(dtype.itemsize, 1)
    if needed > there and not dtype.hasobject:
        raise ValueError(f"its header announces {needed:,} bytes, {max(there, 0):,} are there")
    return shape, dtype


def _open_npy(path: Path) -> Entry:
    with path.open("rb") as stream:
        shape, dtype = _open_header(stream, path.stat().st_size)

    def read() -> Array:
        with path.open("rb") as stream:
            return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))

    return Entry(shape, dtype, (read,))


def _open_npz(path: Path) -> Table:
    table = Table()
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            if name == info.filename:
                table.notes.append(f"{path.name}: {name} is no array and is ignored")
                continue
            where = f'{path}, array "{name}"'
            if name in table.entries:
                table.faults.append(Fault(where, "it is there twice", _RESAVE))
                continue
            try:
                # Deflate, the densest method that numpy writes, packs at most 1032 to 1.
                if info.file_size > 1100 * max(info.compress_size, 1):
                    raise ValueError(f"{info.compress_size:,} bytes cannot unpack to {info.file_size:,}")
                with archive.open(info) as stream:
                    shape, dtype = _open_header(stream, info.file_size)
            except Exception as error:
                reason = str(error) or type(error).__name__
                table.faults.append(Fault(where, f"it cannot be read: {reason}", _RESAVE))
                continue
            table.entries[name] = Entry(shape, dtype, (_zip_reader(path, info.filename),))
    if not table.entries and not table.faults:
        table.faults.append(
            Fault(str(path), "there are no arrays in it", "save the samples with numpy.savez")
        )
    return table


def _zip_reader(path: Path, member: str) -> Callable[[], Array]:
    def read() -> Array:
        with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
            return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))

    return read


def _open_folder(folder: Path) -> Table:
    """All .npz and .npy files, sorted by name; an array is what its parts in the files give in this order.

    A .npy file called labels.npy or y.npy holds the labels, any other samples.
    """
    result = Table()
    files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    wanted = [path for path in files if path.suffix in (".npz", ".npy") and path.is_file()]
    others = [path.name for path in files if path not in wanted]
    if others:
        more = f" and {len(others) - _FEW} more" if len(others) > _FEW else ""
        result.notes.append(f"{folder.name}: ignored {', '.join(others[:_FEW])}{more}")
    if not wanted:
        why = "there is no .npz or .npy file in the folder"
        result.faults.append(Fault(str(folder), why, "save the samples with numpy.savez"))
    parts: dict[str, list[tuple[Path, Entry]]] = {}
    for path in wanted:
        table = open_path(path)
        result.faults += table.faults
        result.notes += table.notes
        for name, entry in table.entries.items():
            name = path.stem if not name and path.stem in LABELS else name
            parts.setdefault(name, []).append((path, entry))
    for name, found in parts.items():
        if fault := _part_fault(name, found):
            result.faults.append(fault)
        else:
            entries = [entry for _, entry in found]
            shape = (sum(entry.shape[0] for entry in entries), *entries[0].shape[1:])
            dtype = np.result_type(*(entry.dtype for entry in entries))
            result.entries[name] = Entry(
                shape, dtype, tuple(read for entry in entries for read in entry.parts)
            )
    return result


def _part_fault(name: str, parts: list[tuple[Path, Entry]]) -> Fault | None:
    """Why the parts cannot be put together, if they cannot; a lone part can be anything."""
    first_path, first = parts[0]
    for path, entry in parts:
        where = f'{path}, array "{name}"' if name else str(path)
        if not entry.shape:
            return Fault(
                where, "it has no sample axis", "save an array with the samples along its first axis"
            )
        if (entry.shape[1:], entry.dtype.kind) != (first.shape[1:], first.dtype.kind):
            ours = f"{entry.dtype} samples of shape {list(entry.shape[1:])}"
            theirs = f"{first.dtype} of {list(first.shape[1:])}"
            return Fault(
                where, f"it holds {ours}, {first_path.name} {theirs}", "each file holds the same kind"
            )
    return None
