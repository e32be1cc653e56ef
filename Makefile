# Set-up runs by itself, and only where a file that it depends on has changed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TRANSLATIONS := $(wildcard locale/*/LC_MESSAGES/django.po)

# The steps of the set-up build on each other.
.NOTPARALLEL:
.PHONY: run test faults fuzz bench lint format messages requirements screenshots setup setup-dev clean

run: setup .env
	@PORT=$(PORT) RECEIVER_PORT=$(RECEIVER_PORT) exec $(BIN)/python scripts/run.py

test: setup-dev
	scripts/test

faults: setup-dev
	LONG_FAULTS=1 scripts/test -n 0 --verbose tests/faults tests/security/test_hostile_receivers.py

fuzz: setup-dev
	$(BIN)/python -m tests.fuzz --at-once 2 $(TARGETS)

bench: setup-dev
	$(BIN)/python -m tests.bench $(SCENARIOS)

lint: setup-dev
	scripts/lint

format: setup-dev
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format --quiet .
	find templates -name '*.html' -print0 | xargs -0 $(BIN)/djade --target-version 5.2

messages: setup-dev
	scripts/messages

screenshots: setup-dev
	$(BIN)/python scripts/screenshots.py $(PICTURES)

requirements: setup-dev
	for name in base dev; do \
	  $(BIN)/pip-compile --quiet --upgrade --generate-hashes --allow-unsafe --no-strip-extras --no-header \
	    --no-emit-options --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	    --output-file requirements/$$name.txt requirements/$$name.in; \
	done

setup: $(VENV)/.base $(VENV)/.messages
setup-dev: $(VENV)/.dev $(VENV)/.messages
	@scripts/install-system-packages

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.base: requirements/base.txt | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/base.txt
	touch $@

$(VENV)/.dev: requirements/dev.txt | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	touch $@ $(VENV)/.base

$(VENV)/.messages: $(TRANSLATIONS) | $(VENV)/bin/python
	$(BIN)/pybabel --quiet compile --domain django --directory locale
	touch $@

.env: | $(VENV)/.base
	umask 077 && $(BIN)/python scripts/make_env.py > $@.new && mv $@.new $@

clean:
	rm -rf $(VENV) var
