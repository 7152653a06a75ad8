# make demo    set up and run the example on http://127.0.0.1:8090/   (PORT=8091: another port; DATABASE_URL: your PostgreSQL)
# make unit    the tests that need no database, in seconds
# make quick   unit and integration tests, on an embedded PostgreSQL and Valkey   (K="hub and not replay": as pytest's -k)
# make test    every test, in every environment that this machine can run   (ONLY="py313-django61 lint": only these)
# make chaos   check that faults lose nothing: writes under one fault after another, then a table   (MINUTES=30; 10 by default)
# make bench   measure ours beside the alternatives, into docs/benchmarks.md with plots; 15 minutes or more   (QUICK=1)
# make docs    build the site of docs/ in build/site
# make lint    ruff, mypy, the import contracts, the SQL's names, the length of modules and functions, and the site without a warning
# make fmt     format the Python, and fix what ruff can fix
# make clean   remove everything that the targets above created, including the demo's data

PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$python; break; }; done)
VENV = .venv
RUN = $(VENV)/bin/python
INSTALL = $(RUN) -m pip install -qq --disable-pip-version-check

.PHONY: demo unit quick test chaos bench docs lint fmt clean
.DEFAULT_GOAL = demo

demo: $(VENV)/.demo
	@$(RUN) -m example_project.demo

unit: $(VENV)/.test
	@$(RUN) -m pytest -q tests/unit

quick: $(VENV)/.test
	@$(RUN) -m tests.services $(RUN) -m pytest -q tests/unit tests/integration example_project/blog/tests.py $(if $(K),-k "$(K)")

test: $(VENV)/.tox
	@$(RUN) -m tests.suite $(if $(COMPLETE),--complete) $(ONLY)

chaos: $(VENV)/.test
	@$(RUN) -m tests.chaos --minutes $(or $(MINUTES),10)

bench: $(VENV)/.bench
	@$(RUN) -m benchmarks all --page docs/benchmarks.md $(if $(QUICK),--quick)

docs: $(VENV)/.docs
	@$(RUN) -m sphinx -qEW --keep-going -d build/doctrees docs build/site
	@echo "Open build/site/index.html"

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
	@$(INSTALL) --editable ".[redis,metrics]" --group test
	@touch $@

$(VENV)/.bench: $(VENV)/.test
	@$(INSTALL) --group bench
	@touch $@

$(VENV)/.docs: $(VENV)/.demo
	@$(INSTALL) --group docs
	@touch $@

$(VENV)/.format: $(VENV)/.demo
	@$(INSTALL) --group format
	@touch $@

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "There is no Python 3.11 or newer on the PATH." \
		"Install one, or name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot create virtual environments." \
		"On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
