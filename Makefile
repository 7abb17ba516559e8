# `make demo` and `make test`; `make` alone lists the rest.
# PORT=9000 changes the demo's port, CLEAN=1 starts from scratch, HOLD=1 keeps the rehearsal running, PYTHON= selects a Python.

PYTHON_IN_VENV := .venv/bin/python
PORT ?=
CLEAN ?=
HOLD ?=
TESTS ?=
# Two for each core of a small machine: while one waits for a process or for time, another works.
WORKERS ?= $(if $(TESTS),0,4)
export PYTHON
# Whatever the locale: files and output are UTF-8.
export PYTHONUTF8 := 1

.PHONY: help demo test soak mutants rehearse check bench fmt lock screenshots setup

help:
	@echo "make demo       the portal and its lab on this machine; PORT=9000 changes the port, CLEAN=1 starts from scratch"
	@echo "make test       installs what is needed, runs all tests; TESTS=tests/checks runs some; WORKERS=0: one process"
	@echo "make soak       the long test matrices, such as every kill at every boundary; tens of minutes"
	@echo "make mutants    changes each decision of provisioning, and says which change no test notices; minutes"
	@echo "make rehearse   the main job from request to echo, without a browser; HOLD=1 keeps it running"
	@echo "make check      format, lint, types, import contracts"
	@echo "make bench      performance goals against their controls; ten minutes on a quiet machine"
	@echo "make fmt        format, and fix what can be fixed"
	@echo "make lock       after a change of requirements*.txt: pins what the direct pins need"
	@echo "make screenshots  retakes the README's pictures from this build"

setup:
	@./stack/setup.sh

demo: setup
	@exec $(PYTHON_IN_VENV) -m stack demo $(if $(PORT),--port $(PORT)) $(if $(filter-out 0,$(CLEAN)),--clean)

rehearse: setup
	@exec $(PYTHON_IN_VENV) -m stack rehearse $(if $(PORT),--port $(PORT)) $(if $(filter-out 0,$(HOLD)),--hold)

# Without a Chromium, browser tests are skipped and say why; .ci/run turns that into a failure.
# Bytecode is kept even where the machine forbids it: the tests start hundreds of processes.
test: setup
	@unset PYTHONDONTWRITEBYTECODE; CHROMIUM="$$($(PYTHON_IN_VENV) -m stack browser --fetch)"; export CHROMIUM; \
	exec $(PYTHON_IN_VENV) -m pytest -n $(WORKERS) --max-worker-restart 0 $(TESTS)

soak: setup
	@$(PYTHON_IN_VENV) -m pytest --hypothesis-profile search --timeout 1800 $(if $(TESTS),$(TESTS),tests/checks)
	@exec $(PYTHON_IN_VENV) -m pytest -m slow --timeout 1800 $(TESTS)

mutants: setup
	@exec $(PYTHON_IN_VENV) -m tests.mutants

check: setup
	$(PYTHON_IN_VENV) -m ruff format --check .
	$(PYTHON_IN_VENV) -m ruff check .
	$(PYTHON_IN_VENV) -m mypy
	$(PYTHON_IN_VENV) -c 'import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))'

# Runs all of them, even if one misses a goal.
bench: setup
	@missed=0; for each in runs_in_flight fan_out edge probe; do $(PYTHON_IN_VENV) -m bench.$$each || missed=1; done; exit $$missed

screenshots: setup
	@exec $(PYTHON_IN_VENV) -m stack screenshots

fmt: setup
	$(PYTHON_IN_VENV) -m ruff format .
	$(PYTHON_IN_VENV) -m ruff check --fix .

# Does not depend on `setup`: a changed pin contradicts constraints.txt until this has run.
.venv/bin/python:
	@./stack/setup.sh || test -x $@

lock: .venv/bin/python
	@$(PYTHON_IN_VENV) -m pip install --quiet --disable-pip-version-check uv==0.13.9
	@$(PYTHON_IN_VENV) -m uv pip compile --quiet --universal --upgrade --strip-extras --no-annotate --python-version 3.11 \
		--custom-compile-command "make lock" requirements-dev.txt --output-file constraints.txt
