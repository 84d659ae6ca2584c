# Everything that can be done here. `make help` lists it; nothing else is needed but Python and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help

.PHONY: help
help: ## Lists these commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	$(BIN)/python -m compileall -q services gateway protos || true
	@touch $@

.PHONY: install
install: $(STAMP) ## Installs everything into .venv

.PHONY: run
run: $(STAMP) ## Starts everything with a sample shop: services, gateway, simulated POS and store
	@$(BIN)/tillbridge up --sandbox

.PHONY: demo
demo: $(STAMP) ## Tells the story of a till and a store kept in step, step by step
	@$(BIN)/python -m tests.flows.demo

.PHONY: test
test: $(STAMP) ## Runs all tests, on SQLite and PostgreSQL
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadgroup --no-loadscope-reorder

.PHONY: simulate
simulate: $(STAMP) ## Runs all services in virtual time under faults: SEED=1 RUNS=2000
	@$(BIN)/python -m tests.simulation --seed $(or $(SEED),1) --runs $(or $(RUNS),2000)

.PHONY: soak
soak: $(STAMP) ## Kills processes and sets clocks wrong for hours: PROMISE=P1|P2|P19
	@$(BIN)/python -m tests.chaos --promise $(or $(PROMISE),P1) --kills 300 --orders 100000

.PHONY: check
check: $(STAMP) ## Lint, types, import directions, contracts, stubs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy services gateway tests protos/generate.py
	$(BIN)/lint-imports
	$(BIN)/python protos/generate.py --check
	$(BIN)/python protos/generate.py --image $(VENV)/contracts.binpb
	$(BIN)/buf format --diff --exit-code protos
	$(BIN)/buf lint $(VENV)/contracts.binpb --config protos/buf.yaml
	$(BIN)/buf breaking $(VENV)/contracts.binpb --config protos/buf.yaml --against protos/baseline.binpb

.PHONY: protos
protos: $(STAMP) ## Regenerates the committed stubs from the contracts
	$(BIN)/buf format --write protos
	$(BIN)/python protos/generate.py

.PHONY: baseline
baseline: $(STAMP) ## Makes today's contracts the ones that must not be broken (at a release)
	$(BIN)/python protos/generate.py --image protos/baseline.binpb

.PHONY: bench
bench: $(STAMP) ## Measures; one JSON object a line
	@$(BIN)/python -m tests.bench

.PHONY: lock
lock: ## Pins the versions of everything that is installed for development
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet 'pip>=25.1' pip-tools
	$(BIN)/pip-compile --quiet --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-annotate --extra dev --output-file requirements.lock pyproject.toml

.PHONY: up
up: ## Starts the containers of docker-compose.yml
	docker compose up --build --detach --wait

.PHONY: down
down: ## Stops them
	docker compose down

.PHONY: clean
clean: ## Removes what was installed and made, data included
	rm -rf $(VENV) data dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
