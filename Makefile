# make demo    the example, from nothing, on http://127.0.0.1:8090/   (PORT=8091: elsewhere; DATABASE_URL: your PostgreSQL)
# make unit    the tests that need no database, in seconds
# make quick   the tests that match, on an embedded PostgreSQL and Valkey   (K="hub and not replay": as pytest's -k)
# make test    every test, in every environment that this machine can run   (ONLY="py313-django61 lint": these alone)
# make chaos   the proof that nothing is lost: a load, one fault after another, a table   (MINUTES=30: for so long)
# make bench   ours beside what else one could use: docs/benchmarks.md, with plots; a quarter of an hour or more
# make lint    ruff, mypy, the import order, the SQL's names, and how long modules and functions are
# make fmt     format the Python, and mend what ruff can
# make clean   remove everything that these made, the demo's data included

PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$python; break; }; done)
VENV = .venv
RUN = $(VENV)/bin/python
INSTALL = $(RUN) -m pip install -qq --disable-pip-version-check

.PHONY: demo unit quick test chaos bench lint fmt clean
.DEFAULT_GOAL = demo

demo: $(VENV)/.demo
	@$(RUN) -m example_project.demo

unit: $(VENV)/.test
	@$(RUN) -m pytest -q tests/unit

quick: $(VENV)/.test
	@$(RUN) -m tests.services $(RUN) -m pytest -q tests/unit tests/integration $(if $(K),-k "$(K)")

test: $(VENV)/.tox
	@$(RUN) -m tests.suite $(if $(COMPLETE),--complete) $(ONLY)

chaos: $(VENV)/.test
	@$(RUN) -m tests.chaos --minutes $(or $(MINUTES),10)

bench: $(VENV)/.bench
	@$(RUN) -m benchmarks all --page docs/benchmarks.md $(if $(QUICK),--quick)

lint: $(VENV)/.tox
	@$(RUN) -m tests.suite lint

fmt: $(VENV)/.format
	@$(VENV)/bin/ruff check --fix --exit-zero
	@$(VENV)/bin/ruff format

clean:
	rm -rf $(VENV) .tox .demo build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache *.egg-info

# Only pip 25.1 and newer install dependency groups.
$(VENV)/.demo: setup.cfg pyproject.toml | $(VENV)/bin/python
	@echo "Installing into $(VENV) (the first time takes a minute) ..."
	@$(INSTALL) "pip>=25.1"
	@$(INSTALL) --editable . --group demo
	@touch $@

$(VENV)/.tox: $(VENV)/.demo tox.ini
	@$(INSTALL) "tox>=4.30"
	@touch $@

$(VENV)/.test: $(VENV)/.demo
	@$(INSTALL) --editable ".[redis]" --group test
	@touch $@

$(VENV)/.bench: $(VENV)/.test
	@$(INSTALL) --group bench
	@touch $@

$(VENV)/.format: $(VENV)/.demo
	@$(INSTALL) --group format
	@touch $@

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and none is on the PATH." \
		"Install one, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments." \
		"On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
