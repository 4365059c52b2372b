"""mcugen: neural networks as standalone C99 for microcontrollers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mcugen.evaluation import Evaluation, evaluate
    from mcugen.pipeline import Build, build
    from mcugen.simulate import HostLibrary

__all__ = ["Build", "Evaluation", "HostLibrary", "build", "evaluate"]


def __getattr__(name: str) -> Any:
    """Load the compiler on first use: `import mcugen` itself stays quick."""
    if name in ("build", "Build"):
        from mcugen import pipeline

        return getattr(pipeline, name)
    if name in ("evaluate", "Evaluation"):
        from mcugen import evaluation

        return getattr(evaluation, name)
    if name == "HostLibrary":
        from mcugen.simulate import HostLibrary

        return HostLibrary
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
