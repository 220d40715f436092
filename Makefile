# Every target sets up what it needs; nothing but python3, pip and make is taken for granted.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test test-lowest lint types help-texts bench browser clean

## demo: the main job, offline: look at a photograph, paint a picture, edit it
demo: $(READY)
	@$(BIN)/python examples/demo.py

## test: lint, types and every test
test: lint types
	$(BIN)/python -m pytest -n auto

## test-lowest: the LangChain tests on the lowest langchain-core of the declared range
test-lowest: .venv-lowest/.ready
	.venv-lowest/bin/python -m pytest tests/langchain

## lint: style and formatting
lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

## types: strict types of the three packages
types: $(READY)
	$(BIN)/mypy

## help-texts: write the program's help into the docs anew
help-texts: $(READY)
	PYTHONPATH=docs $(BIN)/python -m cogapp -r docs/llm.md

## browser: the tests in a headless Chromium (apt-get install chromium)
browser: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[browser]'
	$(BIN)/python -m pytest -m browser

## bench: speed and memory beside peers, in one run; writes docs/performance/
bench: .venv/.bench
	$(BIN)/python -m benchmarks --write

.venv/.bench: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@touch $@

## clean: forget the environment and what the targets made
clean:
	rm -rf .venv .venv-lowest demo-output .pytest_cache .mypy_cache .ruff_cache

# The stamp comes last, so that a set-up broken off half-way is done again.
$(READY): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

.venv-lowest/.ready: pyproject.toml
	test -x .venv-lowest/bin/python || $(PYTHON) -m venv .venv-lowest
	@echo '*' > .venv-lowest/.gitignore
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]' 'langchain-core==1.6.0'
	@touch $@
