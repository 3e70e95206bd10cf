# Everything starts from a bare clone: each target makes the environment it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INTEROP := .venv-interop
PYTEST := $(BIN)/python -m pytest -q -n 2 --dist worksteal
FAST := -m "not slow"
# types and shapes checked at every call: of the maths always, of everything, which triples the time, in check-slow
MATHS := --jaxtyping-packages=cellprism.equations,beartype.beartype
TYPED := --jaxtyping-packages=cellprism,beartype.beartype
# a processor with AVX2 alone, and the tests that ask what a processor can do
LESSER := ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2
HANGS_ON_IT := tests/sae/kernels tests/models/aido

.PHONY: demo lint test check check-slow web web-fresh interop clean
.DELETE_ON_ERROR:

demo: $(VENV)/.core
	$(BIN)/cellprism demo --out demo

test: $(VENV)/.test
	$(PYTEST) $(FAST)

lint: $(VENV)/.dev
	$(BIN)/ruff check src tests benchmarks dev
	$(BIN)/ruff format --check src tests benchmarks dev
	$(BIN)/lint-imports

# the types are checked beside the tests: each of the two leaves a core idle for a while
check: lint
	$(BIN)/pyright & types=$$!; $(PYTEST) $(MATHS) $(FAST); tests=$$?; wait $$types && exit $$tests
	if grep -q avx512 /proc/cpuinfo; then $(LESSER) $(PYTEST) $(FAST) $(HANGS_ON_IT); fi

# what takes too long for every change: the whole suite, typed, as a processor without AVX-512 runs it, then one without AVX
check-slow: $(VENV)/.dev web-fresh
	$(LESSER) $(PYTEST) $(TYPED)
	ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 $(PYTEST) $(HANGS_ON_IT)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# torch first and by exact version, so that an installed CPU build is kept; then all at once, so that pip resolves once
INSTALL := $(BIN)/pip install -q --disable-pip-version-check -c constraints.txt

$(VENV)/.core: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) torch
	$(INSTALL) -e .
	touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) torch
	$(INSTALL) -e ".[test]"
	touch $(VENV)/.core $@

# every package that constraints.txt names, in two halves side by side: unpacking keeps one core busy; then what is left
HALF = awk 'NR % 2 == $(1)' constraints.txt | $(BIN)/pip install -q --disable-pip-version-check --no-deps -r /dev/stdin
# Dask lies beside the environment, where tests/parallel looks for it: within, every import of anndata loads dask.array
BESIDE := $(BIN)/pip install -q --disable-pip-version-check --no-deps --upgrade --target $(VENV)/cluster
$(VENV)/.dev: pyproject.toml constraints.txt constraints-cluster.txt | $(VENV)/bin/python
	$(BESIDE) -r constraints-cluster.txt & dask=$$!; $(call HALF,0) & first=$$!; $(call HALF,1) && wait $$first && wait $$dask
	$(INSTALL) -e ".[dev]"
	touch $(VENV)/.core $(VENV)/.test $@

# the atlas's bundle from its TypeScript; `npm ci` takes some 20 s, so only check-slow asks whether the committed one is its own
WEB := src/cellprism/atlas/assets
web:
	cd web && npm ci --no-audit --no-fund && npm run build

# without Node, tests/atlas/test_bundle.py compares the hash of the sources
web-fresh:
	if command -v npm > /dev/null; then $(MAKE) web && git diff --exit-code --stat -- $(WEB); \
	else echo "no Node here: whether the atlas's bundle is fresh was not asked"; fi

# the real SAELens, which needs an environment of its own
interop: $(INTEROP)/.ready
	$(INTEROP)/bin/python -m pytest -q tests/interop

# a torchvision that was built for another torch may come with it; it breaks the import and is not needed
$(INTEROP)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(INTEROP)
	$(INTEROP)/bin/pip install -q --disable-pip-version-check -c constraints.txt torch
	$(INTEROP)/bin/pip install -q --disable-pip-version-check -c constraints.txt -e ".[annbatch]" pytest beartype sae-lens==6.54.12
	$(INTEROP)/bin/pip uninstall -q -y torchvision
	touch $@

clean:
	rm -rf $(VENV) $(INTEROP) .venv-peers demo runs
