# What can be done with this work tree. Each goal does all its own set-up: on a fresh Debian machine nothing but git,
# python3 and make is needed, as root or not.

PYTEST = .venv/bin/python -m pytest
# Each file of tests stays in one process; four of them keep two processors busy, since most tests wait for something. The
# order is conftest.py's: by number of tests, the longest ones would be left to the end, and to one process.
PARALLEL = -n 4 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help native test-native setup run lint test test-faults fuzz fuzz-config fuzz-content fuzz-tables fuzz-smtp bench check format test-integration docs lock peers clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | awk -F '|' '{printf "make %-17s %s\n", $$1, $$2}'

# A changed lock or project file makes the environment anew; everything else in the tree is picked up as it is.
.venv/complete: requirements.lock pyproject.toml tools/setup_venv.sh
	@tools/setup_venv.sh

# Compiled once, and for everybody: daemons may not write what they compile, and would do it at each start.
setup: .venv/complete ## the environment in .venv, nothing else
	@find src -name __pycache__ ! -perm -005 -exec rm -rf {} + && umask 022 && .venv/bin/python -m compileall -q src || true

run: setup ## Posthouse in the foreground on 127.0.0.1:2525, state in ./var
	@.venv/bin/posthouse run

peers: setup
	@tools/setup_peers.sh

lint: setup ## format, lint, types, layers, sizes
	.venv/bin/ruff format --check --quiet .
	.venv/bin/ruff check --quiet .
	.venv/bin/mypy --no-error-summary
	.venv/bin/lint-imports --no-logo
	.venv/bin/python tools/check_sizes.py
	.venv/bin/python tools/root_code.py

check: lint ## the same, and the tests that start no server
	$(PYTEST) -q tests/unit tests/contract tests/dialogs tests/golden tests/architecture

test: lint peers ## the same, and every other test (what CI runs)
	$(PYTEST) -q $(PARALLEL)

test-integration: setup peers ## only whole servers on loopback
	$(PYTEST) -q tests/integration

test-faults: setup peers ## the fault suite with all its rounds: hours; a short form is in make test. FAULTS="-k kill"
	$(PYTEST) -q -s -o faulthandler_timeout=7200 tests/faults --whole $(FAULTS)
	@.venv/bin/python -m tests.faults.figures --write

fuzz: setup ## ten million inputs for the code that runs as root; INPUTS=N SEED=N BLOCK=N
	@.venv/bin/python -m tests.fuzz.root $(if $(INPUTS),--inputs $(INPUTS)) $(if $(SEED),--seed $(SEED)) \
		$(if $(BLOCK),--block $(BLOCK))

fuzz-config: setup ## a million inputs for what reads main.cf and master.cf; INPUTS=N SEED=N BLOCK=N
	@.venv/bin/python -m tests.fuzz.configuration $(if $(INPUTS),--inputs $(INPUTS)) $(if $(SEED),--seed $(SEED)) \
		$(if $(BLOCK),--block $(BLOCK))

fuzz-content: setup ## a million messages for what takes them apart; INPUTS=N SEED=N BLOCK=N
	@.venv/bin/python -m tests.fuzz.content $(if $(INPUTS),--inputs $(INPUTS)) $(if $(SEED),--seed $(SEED)) \
		$(if $(BLOCK),--block $(BLOCK))

fuzz-tables: setup ## a million inputs for what reads tables and replies of their servers; INPUTS=N SEED=N BLOCK=N
	@.venv/bin/python -m tests.fuzz.tables $(if $(INPUTS),--inputs $(INPUTS)) $(if $(SEED),--seed $(SEED)) \
		$(if $(BLOCK),--block $(BLOCK))

fuzz-smtp: setup ## a million conversations for both halves of SMTP and for smtpd; INPUTS=N SEED=N BLOCK=N
	@.venv/bin/python -m tests.fuzz.smtp $(if $(INPUTS),--inputs $(INPUTS)) $(if $(SEED),--seed $(SEED)) \
		$(if $(BLOCK),--block $(BLOCK))

# Compiled anew when a source is newer.
var/native/complete: .venv/complete packaging/native.py packaging/native.txt $(shell find src -name '*.py')
	@tools/setup_native.sh

native: setup ## Posthouse with compiled modules in var/native (needs a C compiler)
	@$(MAKE) --no-print-directory var/native/complete

bench: native peers ## Posthouse (compiled) and Debian's Postfix under the same load; BENCH="--quick"; NATIVE=no: as Python alone
	@POSTHOUSE_BIN=$(if $(filter no,$(NATIVE)),,$(wildcard var/native/bin)) .venv/bin/python -m tests.bench.bench $(BENCH)

test-native: native peers ## whole servers on loopback, with the compiled modules
	POSTHOUSE_BIN=var/native/bin $(PYTEST) -q $(PARALLEL) tests/integration

format: setup ## bring the code into the project's form
	.venv/bin/ruff format --quiet .
	.venv/bin/ruff check --quiet --fix .

docs: setup ## manual pages, systemd units and the table in docs/security.md anew, from the declarations
	@.venv/bin/python tools/generate.py

# The lock holds names, versions and hashes, and no registry's address: the hashes alone decide what is installed.
lock: setup ## resolve the dependencies of pyproject.toml anew
	.venv/bin/python -m venv var/lock-env
	var/lock-env/bin/pip install --quiet uv
	UV_PYTHON_DOWNLOADS=never var/lock-env/bin/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
		--upgrade --generate-hashes --no-emit-index-url --custom-compile-command "make lock" --quiet \
		--output-file requirements.lock

clean: ## remove what was made, var/ (mail and queues) apart
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
