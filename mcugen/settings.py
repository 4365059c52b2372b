"""What the user chose besides the model and the board, from options and a recipe file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcugen.choice import Optimize, optimize_named
from mcugen.ir import DType
from mcugen.quantize.layers import LayerWish
from mcugen.quantize.ports import io_named
from mcugen.quantize.recipe_file import RecipeFile, read_recipe
from mcugen.quantize.recipes import Recipe, recipe_named


@dataclass(frozen=True)
class Settings:
    """What the user chose besides the model and the board."""

    calib: Any = None
    name: str | None = None
    percentile: float | None = None
    signature: str | None = None
    debug_layers: bool = False
    seed: int = 0
    calibration: str | None = None
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    refine: bool = True
    command: str = ""
    recipe: Recipe | None = None  # nothing: see effective_recipe
    io: DType | None = None  # elements of inputs and outputs; the recipe's, or the file's own
    layers: tuple[LayerWish, ...] = ()  # wishes for single layers
    optimize: Optimize = Optimize.BALANCED

    @property
    def effective_recipe(self) -> Recipe:
        """The recipe: int8 if neither the user nor the model file said anything."""
        return self.recipe or Recipe.INT8

    @property
    def calibrates(self) -> bool:
        """Whether something was said about calibration."""
        return bool(self.ranges) or any(
            wish is not None for wish in (self.calib, self.percentile, self.calibration)
        )


def make_settings(
    recipe: str | Path | None = None,
    quantize: str | None = None,
    io: str | None = None,
    in_float: Sequence[str] = (),
    *,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    refine: bool | None = None,
    calibration: str | None = None,
    percentile: float | None = None,
    optimize: str | None = None,
    **others: Any,
) -> Settings:
    """Settings from `build`'s parameters: what is not given comes from the file `recipe`. Raises UsageError."""
    path = Path(recipe) if recipe is not None else None
    file = read_recipe(path) if path else RecipeFile()
    if calibration is None and percentile is None:
        calibration, percentile = file.calibration, file.percentile
    refined = file.refine if refine is None else refine
    wishes = [LayerWish(pattern, f"--float {pattern}", DType.FLOAT32) for pattern in in_float]
    return Settings(
        recipe=recipe_named(quantize or file.quantize),
        io=io_named(io or file.io),
        layers=(*(file.wishes(path.name) if path else ()), *wishes),
        ranges={**file.ranges, **(ranges or {})},
        refine=True if refined is None else refined,
        calibration=calibration,
        percentile=percentile,
        optimize=optimize_named(optimize or file.optimize),
        **others,
    )
