# Two commands: `make figures` trains and draws everything, `make test` checks it. Each installs what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PROFILE ?= quick

.PHONY: figures test lint lab course html bench clean help
help: ## these lines
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else f"Python {v[0]}.{v[1]} was found; cscelab needs 3.11, 3.12 or 3.13: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[workbench,dev]"
	@touch $@

figures: $(VENV)/.installed ## train what is missing, draw every figure and table into figures/
	$(BIN)/cscelab figures --profile $(PROFILE)

test: $(VENV)/.installed ## unit tests, notebooks, and both in a browser where Chromium is
	$(BIN)/python -m pytest -n 2 --dist loadgroup -rs

lint: $(VENV)/.installed ## style, types, import layers, stripped notebooks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/nbstripout --verify notebooks/*.ipynb

lab: $(VENV)/.installed ## JupyterLab on the notebooks
	$(BIN)/cscelab lab

course: $(VENV)/.installed ## every notebook as HTML under build/course: without solutions, and in full
	$(BIN)/python -m cscelab.course --profile $(PROFILE)

html: course ## the same

bench: $(VENV)/.installed ## speed and memory, as ratios in one run (seven minutes), tables and pictures into figures/
	$(BIN)/python benchmarks/dynamic_sign.py
	$(BIN)/python benchmarks/code_step.py
	$(BIN)/python benchmarks/evaluation.py
	$(BIN)/python benchmarks/search.py
	$(BIN)/python benchmarks/pipeline.py
	$(BIN)/python benchmarks/browser.py

clean: ## remove the environment (data and runs stay)
	rm -rf $(VENV) build
