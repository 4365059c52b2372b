"""One conversion, in a process and a Python of its own: worker.py FRAMEWORK MODEL TARGET RESULT [SIGNATURE].

TARGET takes the converted file, RESULT a JSON object: {"notes": [...]} or {"refused": kind, "faults": [[where, why,
fix], ...]}, and beside it RESULT.npz takes what the framework itself computes from samples, if it could.
This file and its siblings import nothing of mcugen, and run with Python 3.10.
"""

from __future__ import annotations

import importlib
import json
import os
import sys


def main() -> None:
    """Exit code 0 whenever RESULT was written."""
    framework, model, target, result = sys.argv[1:5]
    signature = sys.argv[5] if len(sys.argv) > 5 else None
    here = os.path.dirname(os.path.abspath(__file__))
    refusal = importlib.import_module("refusal")
    module = importlib.import_module(f"from_{framework}")
    sys.path[:] = [p for p in sys.path if os.path.abspath(p or ".") != here]  # names here are not the user's
    try:
        found = {"notes": module.convert(model, target, f"{result}.npz", signature)}
    except refusal.Refusal as refused:
        found = {"refused": refused.kind, "faults": [list(fault) for fault in refused.faults]}
    with open(result, "w", encoding="utf-8") as file:
        json.dump(found, file)


if __name__ == "__main__":
    main()
