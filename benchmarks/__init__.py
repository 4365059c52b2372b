"""Deterministic figures of the example models on every emulated core; `python -m benchmarks.run` makes them."""
