# `make demo` and `make test` are all anyone types; each installs what it needs first.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
MANIFEST := dbt/target/manifest.json
PORT ?= 3000
ORDERS ?= 20000
WORKERS ?= 4
SEEDS ?= 1000
VERSION ?= 13
ON_THE_OLDEST := sync/test_watermark.py sync/test_strategies.py sync/test_complete.py sources/test_clock.py sources/test_discover.py
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

export DAGSTER_HOME := $(CURDIR)/.dagster
export DAGSTER_TELEMETRY_ENABLED := false
export DBT_SEND_ANONYMOUS_USAGE_STATS := false
export DO_NOT_TRACK := 1
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Each of Dagster's processes imports thousands of modules: what one has compiled, the next takes.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install airbyte airflow barman spark engines demo dev test-tools test test-oldest test-airflow test-spark test-warehouse test-postgres test-fast lint format manifest charts lock bench chaos clean

help: ## show the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

install: $(INSTALLED) ## install everything into .venv from the lock file

# uv installs the same lock in a fifth of the time; pip alone does it too where uv is not to be had. Whatever
# installs checks each file against the lock's hash, uv itself included, and refuses a line without one.
$(INSTALLED): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv || { echo "Install Python's venv first: apt-get install python3-venv"; exit 1; }
	awk '/^[^ #]/ {keep = /^uv==/} keep' requirements.lock > .venv/uv.lock
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r .venv/uv.lock \
		&& $(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --no-deps -r requirements.lock \
		|| $(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

$(DAGSTER_HOME)/dagster.yaml: dagster.yaml
	mkdir -p -m 700 $(DAGSTER_HOME) && cp $< $@

$(MANIFEST): $(INSTALLED) $(shell find dbt -type f -not -path 'dbt/target/*' -not -path 'dbt/logs/*' 2>/dev/null) catalog/platform.yaml $(wildcard catalog/sources/*.yaml)
	python -m data_platform.defs.dbt_manifest

manifest: $(INSTALLED) ## parse the dbt project into the manifest that Dagster reads
	python -m data_platform.defs.dbt_manifest

charts: ## build the charts of the status page again from their lock file; needs npm
	npm ci --prefix data_platform/observability/charts --no-audit --no-fund --loglevel=error
	npm run --prefix data_platform/observability/charts build

demo: $(INSTALLED) $(MANIFEST) $(DAGSTER_HOME)/dagster.yaml ## start the sandbox and run the whole graph once
	data-platform sandbox up --orders $(ORDERS)
	python -m data_platform.defs.demo

demo dev: export DATA_PLATFORM_UI_URL ?= http://127.0.0.1:$(PORT)
dev: export DAGSTER_WEBSERVER_READ_ONLY := $(if $(READ_ONLY),true,false)
dev: $(INSTALLED) $(MANIFEST) $(DAGSTER_HOME)/dagster.yaml ## open the Dagster UI, daemon running; on the sandbox, unless .env is your own
	if test -d .data/sandbox || ! test -s .env; then data-platform sandbox up --orders $(ORDERS); fi
	python -m data_platform.defs.dev -w workspace.yaml --host 127.0.0.1 --port $(PORT)

test-tools: ## see to it that there are Chromium, PgBouncer, Java for Spark, Prometheus, Alertmanager and pgBackRest
	@export PATH="$$PATH:/usr/sbin"; missing=; \
	for names in "chromium chromium-browser google-chrome" pgbouncer; do \
		command -v $$names >/dev/null || missing="$$missing $${names%% *}"; \
	done; \
	command -v java >/dev/null || missing="$$missing openjdk-17-jre-headless"; \
	command -v promtool >/dev/null || missing="$$missing prometheus"; \
	command -v amtool >/dev/null || missing="$$missing prometheus-alertmanager"; \
	command -v pgbackrest >/dev/null || missing="$$missing pgbackrest"; \
	test -z "$$missing" \
		|| { command -v apt-get >/dev/null && $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends $$missing >/dev/null; } \
		|| echo "Not to be had here:$$missing. The tests that need it will be skipped."

# npm packages bring servers of other versions than the sandbox's: the oldest for every run, the others on demand.
OTHER_POSTGRES := data_platform_tests/other_postgres
NPM_CI := npm ci --prefix $(OTHER_POSTGRES) --no-audit --no-fund --loglevel=error

$(OTHER_POSTGRES)/node_modules/pg13: $(OTHER_POSTGRES)/package-lock.json
	command -v npm >/dev/null || { command -v apt-get >/dev/null && $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends npm >/dev/null; } || true
	$(NPM_CI) --omit=optional && touch $@ || echo "No npm here: tests on PostgreSQL 13 will be skipped."

TEST_NEEDS := test-tools engines $(MANIFEST) .airbyte/.installed .barman/.installed .spark/.installed $(OTHER_POSTGRES)/node_modules/pg13
test: $(INSTALLED) ## everything CI runs: lint, then every test
	$(MAKE) --no-print-directory --jobs=2 --output-sync=target $(TEST_NEEDS)
	$(MAKE) --no-print-directory --jobs=2 --output-sync=target lint test-oldest
	pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

# Beside lint, most of which is one process of mypy. What is collected here is compiled once, not by each worker anew.
test-oldest: $(INSTALLED) $(OTHER_POSTGRES)/node_modules/pg13
	pytest --collect-only --quiet >/dev/null || { pytest --collect-only --quiet; exit 1; }
	pytest -n $(WORKERS) --dist loadfile --postgres 13 $(addprefix data_platform_tests/,$(ON_THE_OLDEST))

test-spark: .spark/.installed test-tools ## Spark over many chains of batches, and its own Spark Connect server in the place of Sail's
	DATA_PLATFORM_TEST_SPARK_CONNECT=1 pytest -n0 --timeout 1200 --seeds 60 data_platform_tests/sources/spark

test-warehouse: $(INSTALLED) engines ## the whole contract of a warehouse: KIND=bigquery, redshift or snowflake; on the service where its variables are set
	pytest -n $(WORKERS) --dist loadfile --timeout 600 --warehouse $(KIND) data_platform_tests/contracts data_platform_tests/dbt/dialects data_platform_tests/warehouses/test_windows.py $(wildcard data_platform_tests/warehouses/test_archive_*.py) $(wildcard data_platform_tests/warehouses/test_$(KIND)*.py data_platform_tests/warehouses/$(KIND))

test-postgres: $(INSTALLED) ## the suites of the source and of exactness on PostgreSQL VERSION, 13 to 18
	$(NPM_CI) && touch $(OTHER_POSTGRES)/node_modules/pg13
	pytest -n $(WORKERS) --dist loadfile --postgres $(VERSION) $(addprefix data_platform_tests/,sources sync exactness)

test-fast: $(INSTALLED) ## the tests that need no server, dbt or browser
	pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not slow and not browser"

lint: $(INSTALLED) ## ruff, mypy, import-linter and the catalog's generated files
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	data-platform validate --check-generated --models

format: $(INSTALLED) ## let ruff rewrite what it can
	ruff check --fix .
	ruff format .

bench: $(INSTALLED) ## the speed table, as JSON and as text
	python -m benchmarks

chaos: $(INSTALLED) ## SEEDS schedules of kills and faults, and every point of a sync killed once; ends in one line of totals
	python -m data_platform_tests.chaos --seeds $(SEEDS) $(if $(SEED),--seed $(SEED))

# Airbyte's program has versions of its own beside ours, so an environment of its own too.
AIRBYTE := data_platform/sources/airbyte_manifest/requirements
airbyte: .airbyte/.installed ## install Airbyte's program for sources of the kind airbyte_manifest

.airbyte/.installed: $(AIRBYTE).lock $(INSTALLED)
	$(BIN)/python -m venv --clear .airbyte
	$(BIN)/uv pip install --quiet --python .airbyte/bin/python --require-hashes --no-deps -r $(AIRBYTE).lock \
		|| .airbyte/bin/python -m pip install --quiet --require-hashes --no-deps -r $(AIRBYTE).lock
	touch $@

# Barman wants its own build of psycopg2, which the environment's place beside ours spares.
BARMAN := data_platform/backups/database/external/requirements
barman: .barman/.installed ## install Barman for databases with `engine: barman_cloud`

.barman/.installed: $(BARMAN).lock $(INSTALLED)
	$(BIN)/python -m venv --clear .barman
	$(BIN)/uv pip install --quiet --python .barman/bin/python --require-hashes --no-deps -r $(BARMAN).lock \
		|| .barman/bin/python -m pip install --quiet --require-hashes --no-deps -r $(BARMAN).lock
	touch $@

# pyspark is 400 MB, and what it wants beside it is not what we want.
SPARK := data_platform/sources/spark/requirements
spark: .spark/.installed ## install Spark for sources of the kind spark; it needs Java 17

.spark/.installed: $(SPARK).lock $(INSTALLED)
	$(BIN)/python -m venv --clear .spark
	$(BIN)/uv pip install --quiet --python .spark/bin/python --require-hashes --no-deps -r $(SPARK).lock \
		|| .spark/bin/python -m pip install --quiet --require-hashes --no-deps -r $(SPARK).lock
	touch $@

# Airflow 2 has versions of its own beside ours; what its tests copy is made with it, which takes half a minute.
AIRFLOW := data_platform_tests/airflow/requirements
airflow: .airflow/.installed ## install Airflow 2 for the tests beside it

.airflow/.installed: export AIRFLOW_HOME := $(CURDIR)/.airflow/home
.airflow/.installed: export AIRFLOW__CORE__LOAD_EXAMPLES := False
.airflow/.installed: $(AIRFLOW).lock $(INSTALLED)
	$(BIN)/python -m venv --clear .airflow
	$(BIN)/uv pip install --quiet --python .airflow/bin/python --require-hashes --no-deps -r $(AIRFLOW).lock \
		|| .airflow/bin/python -m pip install --quiet --require-hashes --no-deps -r $(AIRFLOW).lock
	.airflow/bin/airflow db migrate >.airflow/install.log 2>&1
	.airflow/bin/airflow users create --username dagster --password dagster --firstname D --lastname D --role Admin \
		--email dagster@company.example >>.airflow/install.log 2>&1
	touch $@

test-airflow: $(INSTALLED) $(MANIFEST) .airflow/.installed ## the platform beside a real Airflow: observed, then a task proxied
	pytest -n 0 --airflow data_platform_tests/airflow

# Emulators of warehouses have versions of their own, too, and one of them another Python.
ENGINES := data_platform_tests/engines
EMULATED := $(notdir $(patsubst %/requirements.lock,%,$(wildcard $(ENGINES)/*/requirements.lock)))
PYTHON_OF_bigquery := 3.13
engines: $(EMULATED:%=.engines/%/.installed) ## install the emulators of warehouses that tests start

.engines/%/.installed: $(ENGINES)/%/requirements.lock $(INSTALLED)
	@version=$(or $(PYTHON_OF_$*),3.11); python=$$(sh $(ENGINES)/python.sh $$version $(BIN)/uv); \
	if test -z "$$python"; then \
		echo "No Python $$version here (looked in PATH, pyenv and uv): tests on the emulator of $* will be skipped."; \
	else \
		$$python -m venv --clear .engines/$* \
			&& { $(BIN)/uv pip install --quiet --python .engines/$*/bin/python --require-hashes --no-deps -r $< \
				|| .engines/$*/bin/python -m pip install --quiet --require-hashes --no-deps -r $<; } \
			&& touch $@; \
	fi

lock: $(INSTALLED) ## pin every dependency anew
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --group dev pyproject.toml -o requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header $(AIRBYTE).in -o $(AIRBYTE).lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header $(SPARK).in -o $(SPARK).lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --override $(BARMAN).overrides.txt $(BARMAN).in -o $(BARMAN).lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header $(AIRFLOW).in -o $(AIRFLOW).lock
	$(foreach engine,$(EMULATED),uv pip compile --universal --python-version $(or $(PYTHON_OF_$(engine)),3.11) --generate-hashes --no-emit-index-url --no-header \
		$(addprefix --override ,$(wildcard $(ENGINES)/$(engine)/overrides.txt)) $(ENGINES)/$(engine)/requirements.in -o $(ENGINES)/$(engine)/requirements.lock &&) true

clean: ## stop the sandbox and remove everything that is not in git, the landed data included
	-$(BIN)/data-platform sandbox down --destroy
	rm -rf .venv .airbyte .airflow .barman .engines .spark .data .dagster .env dbt/target dbt/logs .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
