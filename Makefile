# Every target sets up what it needs; nothing but python3, pip and make is taken for granted.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test test-lowest lint types help-texts bench browser docs record conformance-npm conformance-servers stress fuzz fault-table notebooks ray clean

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

## stress: the fault matrix, the fuzzers and the soak (about five minutes)
stress: .venv/.fuzz
	$(BIN)/python -m stress

## fuzz: coverage-guided fuzzing for SECONDS (300); what it finds goes to stress/corpus/
fuzz: .venv/.fuzz
	$(BIN)/python -m stress.guided $(or $(SECONDS),300)

## fault-table: write docs/faults.md anew
fault-table: $(READY)
	EMBY_WRITE_DOCS=1 $(BIN)/python -m pytest tests/robustness/test_robust_docs.py

.venv/.fuzz: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	@touch $@

.venv/.bench: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@touch $@

## notebooks: run those of examples/ on the mock; fails when a cell raises or shows other kinds
notebooks: .venv-notebooks/.ready
	.venv-notebooks/bin/python tests/notebooks/run_notebooks.py $(if $(WRITE),--write)

.venv-notebooks/.ready: pyproject.toml
	test -x .venv-notebooks/bin/python || $(PYTHON) -m venv .venv-notebooks
	@echo '*' > .venv-notebooks/.gitignore
	.venv-notebooks/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[notebook]'
	@touch $@

## ray: examples/ray_data on a small Ray on this machine, killed in the middle and resumed
ray: .venv-ray/.ready
	.venv-ray/bin/python -m pytest tests/examples/test_ray_data.py

.venv-ray/.ready: pyproject.toml
	test -x .venv-ray/bin/python || $(PYTHON) -m venv .venv-ray
	@echo '*' > .venv-ray/.gitignore
	.venv-ray/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,ray]'
	@touch $@

## docs: quotes from the core anew, then the site, from docs/ and the docstrings; writes site/
docs: .venv/.docs
	PYTHONPATH=docs $(BIN)/python -m cogapp -r docs/errors.md docs/hooks.md
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo '*' > site/.gitignore
	@echo "The site is in site/: open site/index.html"

.venv/.docs: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@

## record: the cassettes anew, from the mock; of EMBY_BASE_URL with EMBY_API_KEY into cassettes/real/
record: $(READY)
	$(BIN)/python tests/cassettes/record_cassettes.py

## conformance-npm: the Vercel AI SDK and OpenAI's SDK against the mock (node 20 or later, npm)
conformance-npm: $(READY)
	cd tests/conformance/npm && npm install --no-audit --no-fund --no-package-lock --loglevel=error
	$(BIN)/python tests/conformance/npm/run.py

## conformance-servers: our clients against a LiteLLM proxy in front of the mock
conformance-servers: .venv/servers/.ready
	LITELLM=.venv/servers/bin/litellm $(BIN)/python -m pytest tests/conformance/servers/check_litellm.py

.venv/servers/.ready: $(READY)
	test -x .venv/servers/bin/python || $(BIN)/python -m venv .venv/servers
	.venv/servers/bin/python -m pip install --quiet --disable-pip-version-check 'litellm[proxy]>=1.106,<2'
	@touch $@

## clean: forget the environment and what the targets made
clean:
	rm -rf .venv .venv-lowest .venv-notebooks .venv-ray site demo-output tests/conformance/npm/node_modules .pytest_cache .mypy_cache .ruff_cache

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
