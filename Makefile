# make run: serve on http://127.0.0.1:8000 with a database under ./retag-data.
# make test: set up what the tests need and run them all.  make check: lint and types.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run install test check clean

# At a terminal the server is a job of its own, so that Ctrl-C reaches it alone: make would end by the signal.
run: .venv/installed
	@case "$$(ps -o stat= -p $$$$ 2>/dev/null)" in *+*) trap '' TSTP; set -m; $(BIN)/retag serve ;; *) exec $(BIN)/retag serve ;; esac

install: .venv/tested .venv-sdk/installed snippet/node_modules/installed

test: install
	$(BIN)/pytest

check: .venv/tested
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

.venv/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -e .
	@touch $@

.venv/tested: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[test,actalike,countries,parquet,zstd]'
	@test -x /usr/bin/chromium || (apt-get update && apt-get install --yes chromium) || $(BIN)/playwright install chromium
	@test -x /usr/bin/firefox-esr || (apt-get update && apt-get install --yes firefox-esr) || echo "No Firefox: its tests are skipped here, and fail in CI. Install Debian's firefox-esr."
	@touch $@

# The official SDK pins old dependencies, so it has an environment of its own.
.venv-sdk/installed:
	test -x .venv-sdk/bin/python || $(PYTHON) -m venv .venv-sdk
	.venv-sdk/bin/pip install --quiet --disable-pip-version-check pinterest-api-sdk==0.2.7
	@touch $@

# The tag's build and the published integrations that its tests run.
snippet/node_modules/installed: snippet/package.json
	cd snippet && npm install --no-audit --no-fund --loglevel=error
	@touch $@

clean:
	rm -rf .venv .venv-sdk snippet/node_modules build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
