"""Runs finished libraries on emulated boards: stands beside the pipeline, which knows nothing of it."""
