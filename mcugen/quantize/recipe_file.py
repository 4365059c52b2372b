"""A recipe as a TOML file: what `build` takes as options, and wishes for single layers.

quantize = "int8-float-fallback"
calibration = "mse"
optimize = "speed"

[ranges]
input = [-1.0, 1.0]

[[layer]]
match = "conv2d_3"          # a layer's name, operator or origin; `*` and `?` stand for anything
type = "float32"

[[layer]]
match = "*/Add*"
calibration = "percentile"  # of what the layer writes
percentile = 99.99

[[layer]]
match = "conv2d_7"
kernel = "conv2d_portable"  # whatever it costs: for looking at it
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mcugen.calibrate.ranges import Method
from mcugen.errors import Fault, UsageError
from mcugen.ir import DType
from mcugen.quantize.layers import LayerWish
from mcugen.schema import schema_fault

Calibration = Literal["minmax", "percentile", "mse"]
Percentile = Field(None, gt=50.0, le=100.0)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Layer(_Strict):
    """Wishes for the layers that `match` fits."""

    match: str
    type: Literal["int8", "int16", "float32"] | None = None
    calibration: Calibration | None = None
    percentile: float | None = Percentile
    kernel: str | None = None

    def wish(self, where: str) -> LayerWish:
        """The wish, for the pipeline."""
        name = self.calibration or ("percentile" if self.percentile is not None else None)
        parameter = (self.percentile or 99.99) if name == "percentile" else None
        method = Method(name, parameter) if name else None
        return LayerWish(self.match, where, DType(self.type) if self.type else None, method, self.kernel)


class RecipeFile(_Strict):
    """The file; what is None is as without it. Options of the command line come first."""

    quantize: str | None = None
    io: str | None = None
    calibration: Calibration | None = None
    percentile: float | None = Percentile
    refine: bool | None = None
    optimize: Literal["speed", "size", "ram", "balanced"] | None = None
    ranges: dict[str, tuple[float, float]] = {}
    layer: tuple[Layer, ...] = ()

    def wishes(self, file: str) -> tuple[LayerWish, ...]:
        """Those for single layers."""
        return tuple(layer.wish(f'{file}: layer "{layer.match}"') for layer in self.layer)


def read_recipe(path: Path) -> RecipeFile:
    """The checked file. Raises UsageError with all faults at once."""
    try:
        data: Any = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        why = (error.strerror or "cannot be read").lower() if isinstance(error, OSError) else str(error)
        raise UsageError(
            f"{path.name}: cannot be read", [Fault(path.name, why, "give a recipe as a .toml file")]
        ) from None
    try:
        return RecipeFile.model_validate(data)
    except ValidationError as error:
        faults = [schema_fault(path.name, dict(detail)) for detail in error.errors(include_url=False)]
        raise UsageError(f"{path.name}: {len(faults)} faults in the recipe", faults) from None
