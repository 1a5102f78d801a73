# Everything runs in a virtual environment that sets itself up on first use: only Python 3.11 or later and make are needed.
# Without make: python -m local.bootstrap <module> <arguments>
#
#   make test ARGS='-k marks'     PYTHON=python3.13 VENV=.venv-3.13 make test

PYTHON ?= python3
VENV ?= .venv
# Only a Python that was asked for must be the one; otherwise an environment that is there will do.
exact = $(if $(filter file,$(origin PYTHON)),,--exact)
run = $(PYTHON) -m local.bootstrap --venv $(VENV) $(exact)

.PHONY: setup test demo bench live mutants check clean

setup: ## make the virtual environment and install Azurite
	@$(run)

test: ## all tests, against the real storage emulator
	@$(run) pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

demo: ## a whole demo tenant on this machine; ARGS=--serve stays up
	@$(run) local demo $(ARGS)

bench: ## measure, and write benchmarks/results.json
	@$(run) benchmarks $(ARGS)

live: ## try the sync on a real tenant (docs/live.md); never part of the tests
	@$(run) local.live $(ARGS)

mutants: ## do the tests notice planted faults?
	@$(run) tests.mutants $(ARGS)

check: ## lint, format, strict types
	@$(run) ruff check .
	@$(run) ruff format --check .
	@$(run) mypy

clean: ## remove what the other targets made, except local data in .local
	rm -rf .venv .venv-* node_modules mutants .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
