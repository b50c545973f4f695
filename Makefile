# Two commands are enough: `make demo` and `make test`. Everything lives in .venv; plain pip, no other tool.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: help demo test test-slow lint types format clean
help:
	@echo "make demo     install, then run the whole loop on a generated catalog (ends in demo/run/report.html)"
	@echo "make test     install what the tests need, then run them"
	@echo "make test-slow  the long tests that make test leaves out (half an hour)"
	@echo "make lint     ruff, rules and format"
	@echo "make types    mypy, strict"
	@echo "make format   let ruff rewrite"
	@echo "make clean    remove what demo and the tools left (keeps $(VENV))"

# A stamp per set of packages: made again only when pyproject.toml changes.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Coldframe needs Python 3.11 or later; name one: make PYTHON=python3.12 ..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.demo: $(VENV)/.made pyproject.toml
	$(PIP) install --quiet --editable '.[lm]'
	@touch $@

$(VENV)/.dev: $(VENV)/.made pyproject.toml
	$(PIP) install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo
	$(BIN)/coldframe demo --out demo

# Small models gain nothing from a second thread: as many processes as there are cores, each with one; at most
# four, as one takes up to 1.5 GB. A file's tests stay together, as they share what it trained.
test: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile $(PYTEST_ARGS)

test-slow: $(VENV)/.dev
	$(BIN)/pytest -m slow --timeout 7200 $(PYTEST_ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The folders are installed as coldframe.kg, coldframe.gnn, ...; the link shows mypy that layout.
types: $(VENV)/.dev
	@mkdir -p .types && ln -sfn .. .types/coldframe
	MYPYPATH=.types $(BIN)/mypy -p coldframe

clean:
	rm -rf demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .types build dist
