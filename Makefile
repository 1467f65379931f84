# Needs only make and Python 3.10 or newer with its venv module. Everything else is installed into .venv.

PYTHON ?= python3
OUT    ?= outputs
DATA   ?= $(STGAN_DATA)
ARGS   ?=

BIN   := .venv/bin
STAMP := .venv/.installed
BUSY  := .venv/.installing
# Commands in .venv contain the path of this folder, so a moved or copied .venv must be made again.
MOVED := $(shell [ ! -s $(STAMP) ] || [ "$$(cat $(STAMP))" = "$(CURDIR)" ] || echo moved)

.DEFAULT_GOAL := help
.PHONY: help setup generate app test fuzz lint weights need-data clean

help:  ## show this list
	@echo "make TARGET, where TARGET is one of"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo 'ARGS="..." adds arguments to the command; PYTHON=... chooses the interpreter for setup.'

setup: $(STAMP)  ## install everything into .venv (once, and again when the dependencies change)

# The stamp is written last. $(BUSY) exists only while this runs. If it remains, an earlier setup was interrupted,
# and the environment is made again.
ifneq ($(MOVED),)
.PHONY: $(STAMP)
endif
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo '"$(PYTHON)" is not Python 3.10 or newer; name another one: make setup PYTHON=python3.12' >&2; exit 1; }
	@if [ -e $(BUSY) ] && kill -0 "$$(cat $(BUSY))" 2>/dev/null; then \
	  echo "Another make setup (process $$(cat $(BUSY))) is running; wait until it ends." >&2; exit 1; fi
	@echo "Setting up .venv (about 2 minutes on first use, plus downloading PyTorch) ..."
	@if [ -e $(BUSY) ] || [ -n "$(MOVED)" ]; then rm -rf .venv; fi; \
	  mkdir -p .venv && rm -f $(STAMP) && echo $$$$ > $(BUSY) && \
	  $(PYTHON) -m venv .venv && \
	  $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e ".[dev]" && \
	  echo "$(CURDIR)" > $(STAMP) && rm -f $(BUSY) || { \
	  echo 'Setting up .venv failed; the lines above say why. Solve the problem and run make setup again.' >&2; exit 1; }
	@echo "Set up .venv"

generate: setup  ## generate clips of every Weizmann action into OUT (outputs/)
	$(BIN)/stgan generate --out "$(OUT)" $(ARGS)

app: setup  ## open the page to generate clips and look at them; ARGS="--port 8000" (docs/app.md)
	$(BIN)/stgan app $(ARGS)

test: setup  ## run the tests
	$(BIN)/pytest -n auto $(ARGS)

fuzz: setup  ## test stgan with randomly damaged files; ARGS="--count 2000 --seed 1" (docs/robustness.md)
	$(BIN)/python tests/fuzz/run.py $(ARGS)

lint: setup  ## check style, types, and the imports between packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

weights: need-data setup  ## train the bundled models from the clips in DATA (STGAN_DATA)
	$(BIN)/stgan train all --data "$(DATA)/weizmann" --config recipes/weizmann --out src/stgan/bundled/weizmann $(ARGS)

need-data:
	@if [ -z "$(DATA)" ]; then \
	  echo 'There are no clips to train on; name their folder with make weights DATA=FOLDER, or set STGAN_DATA.' >&2; exit 1; fi

clean:  ## remove the environment, caches and build files, but no clips and models
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
