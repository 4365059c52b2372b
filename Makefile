# `make demo` and `make test` install what they need (a virtual environment in .venv, apt packages) and run.

PYTHON := .venv/bin/python
JOBS ?= 2
C_FILES = $(wildcard $(addsuffix /*.[ch],runtime_c runtime_c/* templates/firmware mcugen/bench))

.PHONY: help
help:
	@echo 'make demo     build a keyword spotter, run it on an emulated Cortex-M4, print what it heard'
	@echo 'make test     everything that CI checks (JOBS=2 at once)'
	@echo 'make lint     formatters in check mode, ruff, mypy'
	@echo 'make format   rewrite Python and C in the project'\''s format'
	@echo 'make bench    count instructions and cycles on every emulated core, write benchmarks/results.json'
	@echo 'make recipes  measure every recipe on the example models, write docs/quantization.md'
	@echo 'make qat      train with mcugen.qat, score the C, write docs/quantization.md (installs what make guides does)'
	@echo 'make docs     write docs/operators.md from the code'
	@echo 'make tested   write docs/tested.md from a run of the operators'\'' tests'
	@echo 'make guides   run docs/guides and the conversions with TensorFlow and PyTorch (gigabytes)'
	@echo 'make code-bytes  measure the code of every kernel, for the choice between them'
	@echo 'make fuzz     damaged model files for both importers'
	@echo 'make wheel    build dist/*.whl'
	@echo 'make clean    remove what the targets above made'

.PHONY: setup-demo setup-test
setup-demo:
	@scripts/bootstrap.sh demo
setup-test:
	@scripts/bootstrap.sh test

.PHONY: demo
demo: setup-demo
	$(PYTHON) examples/kws/demo.py

.PHONY: lint
lint: setup-test
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(if $(C_FILES),.venv/bin/clang-format --dry-run --Werror $(C_FILES))

# Two runs, so that a plain mistake shows within seconds.
.PHONY: test
test: lint
	$(PYTHON) -m pytest -q -n $(JOBS) -m 'not slow and not heavy'
	$(PYTHON) -m pytest -q -n $(JOBS) -m 'slow and not heavy'

.PHONY: format
format: setup-test
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .
	$(if $(C_FILES),.venv/bin/clang-format -i $(C_FILES))

.PHONY: bench
bench: setup-test
	$(PYTHON) -m benchmarks.run

.PHONY: recipes
recipes: setup-test
	$(PYTHON) -m benchmarks.recipes

.PHONY: qat
qat: setup-test .venv-guides/ready
	.venv-guides/bin/python -m benchmarks.qat

.PHONY: docs
docs: setup-test
	mkdir -p docs
	$(PYTHON) -m mcugen.report.operators > docs/operators.md

.PHONY: tested
tested: setup-test
	$(PYTHON) tests/tested.py

# In an environment of its own; pip's usual variables choose where PyTorch comes from (the one without CUDA is enough).
.PHONY: guides
guides: setup-test .venv-guides/ready
	.venv-guides/bin/python -m pytest -q -m heavy

.venv-guides/ready: pyproject.toml
	$(PYTHON) -m venv .venv-guides
	.venv-guides/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,guides]'
	touch $@

.PHONY: code-bytes
code-bytes: setup-test
	PYTHONPATH=. $(PYTHON) tests/code_bytes.py

# FUZZ='--count 100000 --seed 7' for more or other mutants.
.PHONY: fuzz
fuzz: setup-test
	$(PYTHON) tests/fuzz.py $(or $(FUZZ),--count 20000)

.PHONY: wheel
wheel: setup-test
	$(PYTHON) -m build --wheel

.PHONY: clean
clean:
	rm -rf .venv .venv-guides build dist out .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
