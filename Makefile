# One virtual environment, made on first use; nothing else is installed on the machine.
VENV ?= .venv
PY   := $(VENV)/bin/python
BIN  := $(VENV)/bin
STAMP := $(VENV)/.installed
# A process for each core, each with servers of its own; who is done first takes over half of what another has left.
WORKERS := -n logical --maxprocesses 8 --dist worksteal

.PHONY: help demo test lint docs bench bench-checks bench-peers fill bench-year bench-panels test-matrix chaos clean

help: ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(STAMP): pyproject.toml
	@test -x $(PY) || python3 -m venv $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: $(STAMP) ## the main job, for real, on an embedded PostgreSQL (KEEP=1 leaves it running)
	@$(PY) -m sbpgmon.demo $(if $(KEEP),--keep)

test: $(STAMP) ## every test that needs no extra server, on all cores (ARGS="-n 0" in one process)
	@$(PY) -m pytest $(WORKERS) $(ARGS)

lint: $(STAMP) ## format, lint, types, import contracts, dependencies
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/deptry .

docs: $(STAMP) ## write docs/cli.md, docs/metrics.md and docs/checks.md anew
	@$(PY) -m sbpgmon.cli.docs docs

bench: $(STAMP) ## the benchmarks: prints a table, writes benchmarks/results.json
	@$(PY) -m benchmarks $(ARGS)

bench-checks: $(STAMP) ## the time of every check of isolation, on 300 schemas of a tenant each and 1,000 shared tables
	@$(PY) -m benchmarks.checks $(ARGS)

bench-peers: $(STAMP) ## PoWA and the postgres exporter on the same server, in one run: writes benchmarks/peers.json
	@$(PY) -m benchmarks.peers $(ARGS)

fill: $(STAMP) ## a year of a fleet into an initialised, empty store (DSN=…, DAYS=365, TARGETS=50, SCALE=1, SEED=1)
	@test -n "$(DSN)" || { echo 'make fill DSN="host=… dbname=…": a store made by sbpgmon init, empty' >&2; exit 2; }
	@$(PY) -m benchmarks.fill "$(DSN)" $(if $(DAYS),--days $(DAYS)) $(if $(TARGETS),--targets $(TARGETS)) \
		$(if $(SCALE),--scale $(SCALE)) $(if $(SEED),--seed $(SEED)) $(ARGS)

bench-year: $(STAMP) ## fills a year of 50 targets on a server of its own and measures it (DSN=… of a filled one)
	@$(PY) -m benchmarks.year $(if $(DSN),--dsn "$(DSN)") $(ARGS)

bench-panels: $(STAMP) ## every panel over 30 days of 50 targets, as Grafana asks (DSN=… of a filled store)
	@$(PY) -m benchmarks.panels $(if $(DSN),--dsn "$(DSN)") $(ARGS)

test-matrix: $(STAMP) ## tests/sql, tests/isolation and tests/integration on every major (MAJORS="14 15 16 17 18")
	@PYTHON=$(PY) MAJORS="$(MAJORS)" tests/matrix.sh $(WORKERS) $(ARGS)

chaos: $(STAMP) ## kills, resets, evictions, clocks: figures held to the truth (SHORT=1, SEED=7)
	@SBPGMON_CHAOS=$(if $(SHORT),short,full) $(if $(SEED),SBPGMON_CHAOS_SEED=$(SEED)) $(PY) -m pytest tests/chaos $(ARGS)

clean: ## removes the virtual environment and what the tests left
	@rm -rf $(VENV) .demo .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
