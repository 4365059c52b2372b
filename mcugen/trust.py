"""Whether a generated folder is as it was generated: what verify has to know before it compares."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mcugen.errors import Fault, McugenError, ToolError, VerifyError
from mcugen.interface import user_shape
from mcugen.ir import Graph
from mcugen.simulate import HostLibrary
from mcugen.tools import require_tool

CHANGED = "since it was generated"


def edited_files(folder: Path, manifest: Mapping[str, Any]) -> list[str]:
    """Notes about files that are not as the compiler wrote them. Raises VerifyError if one is missing, or if it is
    the graph: nothing can be proved then."""
    notes, faults, graph = [], [], f"{manifest['name']}.graph.npz"
    fix = "build the library again"
    for entry in manifest["files"]:
        path = folder / entry["path"]
        if not path.is_file():
            faults.append(Fault(entry["path"], "is missing", fix))
        elif hashlib.sha256(path.read_bytes()).hexdigest() != entry["sha256"]:
            notes.append(f"{entry['path']} was changed {CHANGED}")
            if entry["path"] == graph:
                why = f"was changed {CHANGED}: the reference cannot be recomputed from it"
                faults.append(Fault(graph, why, fix))
    if faults:
        raise VerifyError(f"{folder.name}: the library is not as it was generated", faults)
    return notes


def open_library(folder: Path, manifest: Mapping[str, Any], notes: Sequence[str]) -> HostLibrary:
    """The host twin. Raises VerifyError if sources were edited and no longer compile."""
    require_tool((os.environ.get("CC") or "cc").split()[0])
    try:
        return HostLibrary(folder)
    except (ToolError, OSError) as error:
        if not notes:
            raise
        why = error.faults[0].why if isinstance(error, McugenError) and error.faults else str(error)
        faults = [Fault(manifest["name"], f"{'; '.join(notes)}: {why}", "build the library again")]
        raise VerifyError(f"{folder.name}: the edited C cannot be compiled", faults) from None


def check_ports(library: HostLibrary, graph: Graph) -> None:
    """Raises VerifyError unless the manifest speaks of this graph."""
    for kind, names in (("inputs", graph.inputs), ("outputs", graph.outputs)):
        shapes = [user_shape(graph.type(name).shape) for name in names]
        if shapes != [port["shape"] for port in library.manifest[kind]]:
            _contradiction(library, kind)
    for entry in library.layers:
        tensor = graph.tensors.get(entry["output"]["tensor"])
        if tensor is None or tensor.type.bytes != entry["output"]["bytes"]:
            _contradiction(library, f"layer {entry['index']}")


def _contradiction(library: HostLibrary, what: str) -> None:
    fault = Fault(what, "the manifest and the graph do not belong together", "build the library again")
    raise VerifyError(f"{library.folder.name}: the library is not as it was generated", [fault])
