"""One node of an ONNX file, as import functions see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import onnx


@dataclass(frozen=True)
class OnnxNode:
    """One node of the file. Omitted optional inputs are ""."""

    op_type: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Mapping[str, Any]
    proto: onnx.NodeProto
    stands_for: str = ""  # the operator type in the file, if this is a part of one

    @property
    def origin(self) -> str:
        return f'onnx:{self.stands_for or self.op_type} "{self.name}"'

    def attr(self, name: str, default: Any = None) -> Any:
        return self.attrs.get(name, default)

    def has_input(self, index: int) -> bool:
        return index < len(self.inputs) and self.inputs[index] != ""
