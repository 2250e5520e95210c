# Every target makes its own environment in .venv, with PYTHON (3.11 or newer), and keeps it up
# to date with pyproject.toml; `make help` lists the targets.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

WORKERS ?= auto
FUZZ_SECONDS ?= 60

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test test-all coverage lint format autobahn bench docs fuzz sanitize clean

help:
	@echo 'make run        start the demonstration server and print the URL to open'
	@echo 'make test       the tests (WORKERS=auto, ARGS=... for pytest)'
	@echo 'make test-all   the slow tests too, the fuzzers for a short time, all of Autobahn'
	@echo 'make coverage   whether the tests of each module of the core reach all its lines'
	@echo 'make lint       ruff and mypy'
	@echo 'make format     let ruff format the sources'
	@echo 'make autobahn   the Autobahn|Testsuite, both roles; needs Python 2.7 (QUICK=1: a part)'
	@echo 'make bench      measure Wirebird beside its peers (ARGS=--quick: less; ARGS=--list: what)'
	@echo 'make docs       the documentation, into build/docs'
	@echo 'make fuzz       run each fuzz target for FUZZ_SECONDS=$(FUZZ_SECONDS)'
	@echo 'make sanitize   the native engine with ASan and UBSan: its tests, attacks, the fuzzer'
	@echo 'make clean      remove what these made, .venv too'
	@echo 'PYTHON=...      another interpreter than python3, for a new .venv'

# The environment comes in three steps, so that `make run` waits only for what it needs.

$(VENV)/.python:
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
	  echo "Python 3.11 or newer is needed: '$(PYTHON)' was not found; say PYTHON=/path/to/python" >&2; \
	  exit 1; }
	@$(PYTHON) -c 'import sys; v = "%d.%d.%d" % sys.version_info[:3]; \
	  sys.version_info >= (3, 11) or sys.exit( \
	  "Python 3.11 or newer is needed: $(PYTHON) is " + v + "; say PYTHON=/path/to/python")'
	@echo "making $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "$(PYTHON) cannot make an environment; on Debian: apt-get install python3-venv" >&2; \
	  exit 1; }
	@$(PIP) install --upgrade 'pip>=25.1'
	@touch $@

NATIVE := setup.py $(wildcard src/wirebird/native/*.pyx src/wirebird/native/*.pxd src/wirebird/native/*.h)

$(VENV)/.run: pyproject.toml $(NATIVE) $(VENV)/.python
	@echo "installing Wirebird into $(VENV); its native engine is compiled where there is a compiler"
	@$(PIP) install --editable '.[cli,proxy,router]'
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	@echo "installing what the tests need into $(VENV)"
	@$(PIP) install --editable '.[asgi,brotli,cli,jwt,opentelemetry,prometheus,proxy,router,zstd]'
	@$(PIP) install --group dev
	@touch $@

$(VENV)/.fuzz: $(VENV)/.dev
	@echo "installing atheris into $(VENV)"
	@$(PIP) install 'atheris>=2.3'
	@touch $@

$(VENV)/.docs: $(VENV)/.dev
	@echo "installing Sphinx into $(VENV)"
	@$(PIP) install --group docs
	@touch $@

# Who is not there is left out by name.
$(VENV)/.bench: $(VENV)/.dev
	@echo "installing what benchmarks compare with into $(VENV)"
	@$(PIP) install --group bench
	@$(PIP) install 'socketify>=0.0.31' || echo 'socketify cannot be installed: it is left out'
	@touch $@

run: $(VENV)/.run
	@$(BIN)/wirebird serve $(ARGS)

test: $(VENV)/.dev
	@$(BIN)/python -m pytest -q -n $(WORKERS) -m 'not slow' $(ARGS)

test-all: $(VENV)/.dev
	@$(BIN)/python -m pytest -q -n $(WORKERS) $(ARGS)
	@$(MAKE) --no-print-directory coverage
	@$(MAKE) --no-print-directory fuzz
	@$(MAKE) --no-print-directory autobahn

coverage: $(VENV)/.dev
	@$(BIN)/python tests/core/own_coverage.py

lint: $(VENV)/.dev
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

format: $(VENV)/.dev
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

autobahn: $(VENV)/.dev
	@$(BIN)/python autobahn_testsuite/run.py $(if $(QUICK),--quick) $(ARGS)

bench: $(VENV)/.bench
	@$(BIN)/python benchmarks/run.py $(ARGS)

# A warning is an error: a link that leads nowhere, a page that no other names.
docs: $(VENV)/.docs
	@$(BIN)/python -m sphinx --fail-on-warning --keep-going -q -b html docs build/docs
	@echo 'built: build/docs/index.html'

# A target ends by itself after its time; what it finds, it leaves in reports/fuzz.
fuzz: $(VENV)/.fuzz
	@mkdir -p reports/fuzz
	@set -e; for target in fuzz/fuzz_*.py; do \
	  echo "$$target for $(FUZZ_SECONDS) s"; \
	  $(BIN)/python $$target -max_total_time=$(FUZZ_SECONDS) -verbosity=0 -print_final_stats=1 \
	    -artifact_prefix=reports/fuzz/ $(ARGS); \
	done

# The extensions are built in a copy of the tree, so that those in src stay as they are. Leaks are
# not looked for: the interpreter itself has many, and what ASan keeps is more than what a leak
# would be; tests that look at the memory are left out, and stand for themselves in `make test`.
# With ASan there libFuzzer sees no coverage, so it finds its inputs without, and all run again with.
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
SANITIZED := tests/core/connection tests/core/lifecycle tests/core/test_model.py \
  tests/differential tests/native tests/attacks
SANITIZERS = PYTHONPATH=src PYTHONMALLOC=malloc WIREBIRD_ENGINE=native \
  LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libubsan.so)" \
  ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1

sanitize: $(VENV)/.fuzz
	@rm -rf reports/sanitize && mkdir -p reports/sanitize
	@cp -R src tests fuzz setup.py pyproject.toml README.md LICENSE reports/sanitize
	@rm -f reports/sanitize/src/wirebird/native/*.so
	@cd reports/sanitize && CFLAGS='$(SANITIZE) -g -O1' LDFLAGS='$(SANITIZE)' \
	  $(CURDIR)/$(BIN)/python setup.py -q build_ext --inplace
	@cd reports/sanitize && $(SANITIZERS) $(CURDIR)/$(BIN)/python -c \
	  'import wirebird.native.base as b; print("testing", b.__file__)'
	@cd reports/sanitize && $(SANITIZERS) $(CURDIR)/$(BIN)/python -m pytest -q -n $(WORKERS) \
	  -p no:cacheprovider -m 'not slow' -k 'not test_leaks and not leave_nothing' $(SANITIZED) $(ARGS)
	@mkdir -p reports/fuzz/connection
	@$(BIN)/python fuzz/fuzz_connection.py --engine=native -max_total_time=$(FUZZ_SECONDS) \
	  -verbosity=0 -artifact_prefix=reports/fuzz/ reports/fuzz/connection
	@cd reports/sanitize && $(SANITIZERS) $(CURDIR)/$(BIN)/python fuzz/fuzz_connection.py -runs=0 \
	  -verbosity=0 -print_final_stats=1 ../fuzz/connection

clean:
	@rm -rf $(VENV) .venv-* build dist reports .mypy_cache .ruff_cache .pytest_cache .hypothesis \
	  .coverage htmlcov src/*.egg-info src/wirebird/native/*.so
	@find src tests autobahn_testsuite benchmarks fuzz examples -name __pycache__ -prune \
	  -exec rm -rf {} + 2>/dev/null || true
