# Everything starts from a bare clone: each target makes the environment it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INTEROP := .venv-interop

.PHONY: demo test check interop clean
.DELETE_ON_ERROR:

demo: $(VENV)/.core
	$(BIN)/cellprism demo --out demo

test: $(VENV)/.test
	$(BIN)/python -m pytest -q

check: $(VENV)/.dev
	$(BIN)/ruff check src tests benchmarks dev
	$(BIN)/ruff format --check src tests benchmarks dev
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# torch first and by exact version, so that an installed CPU build is kept
$(VENV)/.core: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt torch
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.test: $(VENV)/.core
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e ".[test]"
	touch $@

$(VENV)/.dev: $(VENV)/.test
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

# the real SAELens, which needs an environment of its own
interop: $(INTEROP)/.ready
	$(INTEROP)/bin/python -m pytest -q tests/interop

# a torchvision that was built for another torch may come with it; it breaks the import and is not needed
$(INTEROP)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(INTEROP)
	$(INTEROP)/bin/pip install -q --disable-pip-version-check -c constraints.txt torch
	$(INTEROP)/bin/pip install -q --disable-pip-version-check -c constraints.txt -e . pytest beartype sae-lens==6.54.12
	$(INTEROP)/bin/pip uninstall -q -y torchvision
	touch $@

clean:
	rm -rf $(VENV) $(INTEROP) .venv-peers demo runs
