# Two commands: `make demo` and `make test`. `make` alone lists the rest.
# PORT=9000 moves the demo, CLEAN=1 starts afresh, HOLD=1 keeps the rehearsal running, PYTHON= names the Python to use.

PYTHON_IN_VENV := .venv/bin/python
PORT ?=
CLEAN ?=
HOLD ?=
TESTS ?=
WORKERS ?= $(if $(TESTS),0,3)
export PYTHON
# Whatever the locale: files and output are UTF-8.
export PYTHONUTF8 := 1

.PHONY: help demo test soak rehearse check bench fmt lock screenshots setup

help:
	@echo "make demo       the portal and its lab on this machine; PORT=9000 moves it, CLEAN=1 starts afresh"
	@echo "make test       everything needed, then all tests; TESTS=tests/checks runs some; WORKERS=0 in one process"
	@echo "make soak       the long matrices: every kill at every boundary; tens of minutes"
	@echo "make rehearse   the main job, from request to echo, without a browser; HOLD=1 keeps it running"
	@echo "make check      format, lint, types, import contracts"
	@echo "make bench      what is promised about load, against its controls; ten minutes on a quiet machine"
	@echo "make fmt        format and fix what can be fixed"
	@echo "make lock       after a change of requirements*.txt: chooses anew what the pinned packages need"
	@echo "make screenshots  the README's pictures, taken from this build"

setup:
	@./stack/setup.sh

demo: setup
	@exec $(PYTHON_IN_VENV) -m stack demo $(if $(PORT),--port $(PORT)) $(if $(filter-out 0,$(CLEAN)),--clean)

rehearse: setup
	@exec $(PYTHON_IN_VENV) -m stack rehearse $(if $(PORT),--port $(PORT)) $(if $(filter-out 0,$(HOLD)),--hold)

# Without a Chromium the browser tests say why they did not run; .ci/run turns that into a failure.
# Some machines forbid Python to keep bytecode; the tests start hundreds of processes, which then compile everything each.
test: setup
	@unset PYTHONDONTWRITEBYTECODE; CHROMIUM="$$($(PYTHON_IN_VENV) -m stack browser --fetch)"; export CHROMIUM; \
	exec $(PYTHON_IN_VENV) -m pytest -n $(WORKERS) --max-worker-restart 0 $(TESTS)

soak: setup
	@$(PYTHON_IN_VENV) -m pytest --hypothesis-profile search --timeout 1800 $(if $(TESTS),$(TESTS),tests/checks)
	@exec $(PYTHON_IN_VENV) -m pytest -m slow --timeout 1800 $(TESTS)

check: setup
	$(PYTHON_IN_VENV) -m ruff format --check .
	$(PYTHON_IN_VENV) -m ruff check .
	$(PYTHON_IN_VENV) -m mypy
	$(PYTHON_IN_VENV) -c 'import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))'

# All are measured, also when one misses a goal.
bench: setup
	@missed=0; for each in runs_in_flight fan_out edge probe; do $(PYTHON_IN_VENV) -m bench.$$each || missed=1; done; exit $$missed

screenshots: setup
	@exec $(PYTHON_IN_VENV) -m stack screenshots

fmt: setup
	$(PYTHON_IN_VENV) -m ruff format .
	$(PYTHON_IN_VENV) -m ruff check --fix .

# Not after `setup`: a pin that was changed contradicts constraints.txt until this is done, and needs no more than a Python.
.venv/bin/python:
	@./stack/setup.sh || test -x $@

lock: .venv/bin/python
	@$(PYTHON_IN_VENV) -m pip install --quiet --disable-pip-version-check uv==0.13.9
	@$(PYTHON_IN_VENV) -m uv pip compile --quiet --universal --upgrade --strip-extras --no-annotate --python-version 3.11 \
		--custom-compile-command "make lock" requirements-dev.txt --output-file constraints.txt
