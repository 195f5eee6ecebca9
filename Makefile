# Targets: install up test lint bench soak. Each one installs first; installing does nothing when up to date.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP_FLAGS := --quiet --disable-pip-version-check
AWSCLI := .venv-awscli/.installed
AIOBOTOCORE := .venv-aiobotocore/.installed
OIDC_SERVER := tests/compat/oidc_server/node_modules/.installed
JS := tests/compat/js/node_modules/.installed
GO := tests/compat/go/.build/calls
JAVA := tests/compat/java/.build/.installed
# The AWS SDKs of other languages, where the language is installed.
SDKS := $(if $(shell command -v npm),$(JS)) $(if $(shell command -v go),$(GO)) \
  $(if $(and $(shell command -v javac),$(shell command -v mvn)),$(JAVA))

# The pins hold for what pip builds with, too: a flag reaches only what it installs.
$(STAMP): export PIP_CONSTRAINT := constraints.txt
$(STAMP): export PIP_BUILD_CONSTRAINT := constraints.txt

.PHONY: install up test lint bench soak

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "stsd needs Python 3.11 or newer: make install PYTHON=/path/to/python3.11" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install $(PIP_FLAGS) -e '.[lab,dev]'
	@touch $@

# The aws command line lives in an environment of its own: its pins of botocore are not ours.
$(AWSCLI): tests/compat/awscli-constraints.txt
	@test -x .venv-awscli/bin/python || $(PYTHON) -m venv .venv-awscli
	.venv-awscli/bin/python -m pip install $(PIP_FLAGS) -c $< awscli
	@touch $@

# And aiobotocore, for the same reason.
$(AIOBOTOCORE): tests/compat/aio/constraints.txt
	@test -x .venv-aiobotocore/bin/python || $(PYTHON) -m venv .venv-aiobotocore
	.venv-aiobotocore/bin/python -m pip install $(PIP_FLAGS) -c $< aiobotocore
	@touch $@

# Tests against a provider of OpenID Connect that is not ours; without npm they are skipped.
$(OIDC_SERVER): tests/compat/oidc_server/package.json
	@command -v npm >/dev/null || { echo "npm is missing: tests with oidc-provider are skipped"; exit 0; }; \
	  npm install --silent --no-audit --no-fund --no-package-lock --prefix $(dir $<) && touch $@

$(JS): tests/compat/js/package.json
	cd tests/compat/js && npm install --no-package-lock --no-audit --no-fund --loglevel=error
	@touch $@

$(GO): tests/compat/go/main.go tests/compat/go/go.mod tests/compat/go/go.sum
	cd tests/compat/go && go build -o .build/calls .

$(JAVA): tests/compat/java/Calls.java tests/compat/java/pom.xml
	cd tests/compat/java && mvn --quiet --batch-mode compile
	@touch $@

up: install
	@exec $(BIN)/python -m cluster up $(ARGS)

test: install $(AWSCLI) $(AIOBOTOCORE) $(OIDC_SERVER) $(SDKS)
	$(BIN)/python -m pytest -m 'not soak' --numprocesses 3 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: install
	@$(BIN)/python -m loadtest.bench $(ARGS)

soak: install $(AWSCLI) $(OIDC_SERVER)
	$(BIN)/python -m pytest -m soak $(ARGS)
