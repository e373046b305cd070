# One task runner. Everything happens in .venv (made from locked requirements) and .demo (scratch); nothing else is touched.
.DEFAULT_GOAL := help
.PHONY: help setup demo test unit integration workflows wheel lint bench corpus-peers locks docs clean

PYTHON ?= python3
BIN := .venv/bin
# `git clone` gives every file the time of the clone, so the stamp is keyed by content, not by time.
STAMP := .venv/ready-$(shell cat pyproject.toml requirements/*.txt | git hash-object --stdin)

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | sort

setup: $(STAMP) ## make .venv from the locked requirements

$(STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; say which with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements/dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(STAMP) ## play the story: first champion, a better one, a bad one refused, rollback, history
	@$(BIN)/python demo/play.py

# A file's tests share what is dear to make (a played story, trained models), so they stay on one worker; the longest
# files come first.
test: $(STAMP) lint ## run the whole test suite
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

unit: $(STAMP) ## run the tests that need no network
	$(BIN)/pytest -n 2 --dist loadfile tests/unit

integration: $(STAMP) ## run the tests with real git, DVC, MLflow, Deepchecks and Spark
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder tests/integration

workflows: $(STAMP) ## audit the workflows, and run them on a small repository; needs Node 18 or newer
	$(BIN)/pytest -n 2 --dist loadfile tests/workflows

wheel: $(STAMP) ## build the wheel and test it with the sources removed
	bash tests/support/wheel.sh

lint: $(STAMP) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP) ## measure what must be fast; prints ratios from one run
	@for file in bench/bench_*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

corpus-peers: $(STAMP) ## ask Deepchecks and Evidently about the planted defects, an hour or more; writes docs/corpus.md
	nice $(BIN)/python tests/corpus/peers.py

docs: $(STAMP) ## write the pages that are generated from the code
	$(BIN)/python -m passmuster.config
	$(BIN)/python tests/support/workflow_tables.py

locks: $(STAMP) ## compile all locks again
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --custom-compile-command "make locks" requirements/bootstrap.in -o requirements/bootstrap.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command "make locks" --group dev pyproject.toml requirements/dev.in -o requirements/dev.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command "make locks" --constraint requirements/dev.txt pyproject.toml requirements/runtime.in -o requirements/runtime.txt

clean: ## remove all that was made here
	rm -rf .venv .demo .passmuster .pytest_cache .mypy_cache .ruff_cache .hypothesis
