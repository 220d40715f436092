# Every target sets up what it needs; nothing but python3, pip and make is taken for granted.
PYTHON ?= python3
# Bytecode is kept, as the tests start many processes that import the same packages.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
READY := .venv/.ready
PIP := python -m pip install --quiet --disable-pip-version-check

# What is declared in pyproject.toml: extras for users, groups for those who work on the project.
EXTRAS := llm,langchain,preview
# All but Ray, which has a target of its own: the lowest release declared is also the newest.
ALL := --editable '.[$(EXTRAS),heic,httpx2,notebook,otel]' \
	--group dev --group browser --group fuzz --group bench --group docs

# The tests that `make test` runs on both HTTP libraries.
HTTP_TESTS := tests/core/test_core_contract.py tests/core/test_core_client.py tests/core/test_core_network.py

# $(call environment,DIR): an empty environment, whose pip knows dependency groups.
environment = { test -x $(1)/bin/python || $(PYTHON) -m venv $(1); } && \
	echo '*' > $(1)/.gitignore && \
	$(1)/bin/$(PIP) 'pip>=25.1'

# $(call everything,DIR): print the versions, then run all tests, the notebooks and the site.
define everything
	$(1)/bin/python --version
	$(1)/bin/python -m pip list --disable-pip-version-check
	$(1)/bin/python -m pytest -n auto -m 'not browser'
	EMBY_TEST_HTTP=httpx2 $(1)/bin/python -m pytest -n auto $(HTTP_TESTS)
	$(1)/bin/python tests/notebooks/run_notebooks.py
	$(1)/bin/python docs/docs_site.py
endef

.DEFAULT_GOAL := help
.PHONY: help demo test test-httpx2 test-slow lint types wording test-lowest test-newest test-wheel wheel \
	release-check browser notebooks ray bench bench-quick comparison stress fuzz docs help-texts fault-table record \
	conformance-npm conformance-servers clean

## help: list the targets
help:
	@sed -n 's/^## \([a-z0-9-]*\): /\1 /p' Makefile | \
		while read -r name line; do printf '  %-20s %s\n' "$$name" "$$line"; done

## demo: the main job, offline: describe a photograph, generate an image, edit it
demo: $(READY)
	@$(BIN)/python examples/demo.py

## test: lint, types and every test
test: lint types
	$(BIN)/python -m pytest -n auto
	EMBY_TEST_HTTP=httpx2 $(BIN)/python -m pytest -n auto $(HTTP_TESTS)

## test-httpx2: every test on httpx2 instead of httpx; `make test` runs the client's on both
test-httpx2: $(READY)
	EMBY_TEST_HTTP=httpx2 $(BIN)/python -m pytest -n auto

## test-slow: the tests that take seconds each, which `make test` leaves out
test-slow: $(READY)
	$(BIN)/python -m pytest -n auto -m slow

## lint: style, formatting and the workflow's schema
lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

## wording: count overused words and find odd phrases in the packages
wording: $(READY)
	$(BIN)/python tests/docs/wording.py --list

## types: strict types of the three packages, of users' calls, and of the docs' Python
types: $(READY)
	$(BIN)/mypy
	$(BIN)/mypy tests/typing/users_calls.py
	$(BIN)/basedpyright --level error
	$(BIN)/python tests/typing/docs_blocks.py

## test-lowest: every test, the notebooks and the site, on the lowest versions declared
test-lowest: .venv-lowest/.ready
	.venv-lowest/bin/python tests/wheel/check_floors.py
	$(call everything,.venv-lowest)

## test-newest: the same on the newest versions, upgraded each time
test-newest:
	$(call environment,.venv-newest)
	.venv-newest/bin/$(PIP) --upgrade --upgrade-strategy eager $(ALL)
	$(call everything,.venv-newest)

## wheel: build the wheel and the source distribution into dist/, and check their package page
wheel: .venv/.package
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/python -m twine check --strict dist/*

## test-wheel: install the wheel into clean environments, and follow the docs and test it there
test-wheel: wheel
	$(BIN)/python tests/wheel/check_wheel.py

## release-check: refuse a release without a date in the changelog, or without a repository
release-check: wheel
	$(BIN)/python tests/wheel/check_release.py

## browser: the tests in a headless Chromium (apt-get install chromium)
browser: $(READY)
	$(BIN)/$(PIP) --group browser
	$(BIN)/python -m pytest -m browser

## notebooks: run those of examples/ on the mock; WRITE=1 keeps the new outputs
notebooks: .venv-notebooks/.ready
	.venv-notebooks/bin/python tests/notebooks/run_notebooks.py $(if $(WRITE),--write)

## ray: examples/ray_data on a small Ray on this machine, killed in the middle and resumed
ray: .venv-ray/.ready
	.venv-ray/bin/python -m pytest tests/examples/test_ray_data.py

## bench: speed and memory beside peers, in one run; writes docs/performance/
bench: .venv/.bench
	$(BIN)/python -m benchmarks --write

## bench-quick: what is worth watching while one works, in under a minute
bench-quick: $(READY)
	$(BIN)/python -m benchmarks --quick

## comparison: which clients lose an image, on the newest versions; writes the README's table
comparison: .venv/.bench
	$(BIN)/$(PIP) --upgrade openai llm langchain-openai langchain-openrouter
	$(BIN)/python docs/docs_comparison.py

## stress: the fault matrix, the fuzzers and the soak (about twenty minutes)
stress: .venv/.fuzz
	$(BIN)/python -m stress

## fuzz: coverage-guided fuzzing for SECONDS (300); what it finds goes to stress/corpus/
fuzz: .venv/.fuzz
	$(BIN)/python -m stress.guided $(or $(SECONDS),300)

## docs: write what README and docs quote from the programs, then the site, into site/
docs: .venv/.docs
	PYTHONPATH=docs $(BIN)/python -m cogapp -r README.md docs/errors.md docs/hooks.md
	$(BIN)/python docs/docs_site.py

## help-texts: write the program's help into docs/llm.md
help-texts: $(READY)
	PYTHONPATH=docs $(BIN)/python -m cogapp -r docs/llm.md

## fault-table: write docs/faults.md
fault-table: $(READY)
	EMBY_WRITE_DOCS=1 $(BIN)/python -m pytest -m slow tests/robustness/test_robust_docs.py

## record: record the cassettes from the mock; from EMBY_BASE_URL with EMBY_API_KEY into cassettes/real/
record: $(READY)
	$(BIN)/python tests/cassettes/record_cassettes.py

## conformance-npm: the Vercel AI SDK and OpenAI's SDK against the mock (node 20 or later, npm)
conformance-npm: $(READY)
	cd tests/conformance/npm && npm install --no-audit --no-fund --no-package-lock --loglevel=error
	$(BIN)/python tests/conformance/npm/run.py

## conformance-servers: our clients against a LiteLLM proxy in front of the mock
conformance-servers: $(READY) .venv-litellm/.ready
	LITELLM=.venv-litellm/bin/litellm $(BIN)/python -m pytest tests/conformance/servers/check_litellm.py

## clean: remove the environments and what the targets made
clean:
	rm -rf .venv .venv-* dist site demo-output tests/conformance/npm/node_modules
	rm -rf .pytest_cache .mypy_cache .ruff_cache .cache

# The stamp comes last, so that an interrupted setup is done again.
$(READY): pyproject.toml
	$(call environment,.venv)
	$(BIN)/$(PIP) --editable '.[$(EXTRAS)]' --group dev
	@touch $@

.venv/.bench .venv/.docs .venv/.fuzz .venv/.package: .venv/.%: $(READY)
	$(BIN)/$(PIP) --group $*
	@touch $@

.venv-lowest/.ready: pyproject.toml
	rm -rf .venv-lowest
	$(call environment,.venv-lowest)
	.venv-lowest/bin/$(PIP) --group lowest
	.venv-lowest/bin/uv pip install --quiet --python .venv-lowest/bin/python --resolution lowest-direct $(ALL)
	@touch $@

.venv-notebooks/.ready: pyproject.toml
	$(call environment,.venv-notebooks)
	.venv-notebooks/bin/$(PIP) --editable '.[notebook]'
	@touch $@

.venv-ray/.ready: pyproject.toml
	$(call environment,.venv-ray)
	.venv-ray/bin/$(PIP) --editable '.[$(EXTRAS),ray]' --group test
	@touch $@

.venv-litellm/.ready: pyproject.toml
	$(call environment,.venv-litellm)
	.venv-litellm/bin/$(PIP) --group litellm
	@touch $@
