"""Where the data folders lie: inside the installed package, or at the root of a checkout."""

from __future__ import annotations

from pathlib import Path

from mcugen.errors import InternalError


def data_dir(name: str) -> Path:
    """The folder `boards`, `templates` or `runtime_c`; InternalError if the installation lacks it.

    A wheel holds the folders inside the package, an editable install only beside it.
    """
    package = Path(__file__).resolve().parent
    for parent in (package, package.parent):
        folder = parent / name
        if folder.is_dir():
            return folder
    raise InternalError(f"this installation of mcugen lacks its folder {name!r}; install it again")
