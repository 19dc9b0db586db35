# Every target is thin: what it does lies in scripts/ and in manage.py.
PORT ?= 3000
PY := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help demo test bench load test-long test-faults test-hosts test-mutants clients lint audit format lock messages clean

help: ## List the targets
	@echo "make TARGET [VARIABLE=value]"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1	\2/p' Makefile

demo: ## Start the product with demo data on SQLite (PORT=3000; RESET=1 starts afresh)
	@scripts/bootstrap.sh requirements/base.txt
	@RESET=$(RESET) $(PY) scripts/demo_env.py
	@exec $(PY) manage.py demo --port $(PORT)

test: ## Install what is missing; run checks and all tests on SQLite and MariaDB + Redis (ARGS="-k name")
	@exec scripts/test.sh -- $(ARGS)

bench: ## Measure the hot paths beside their floors (ARGS="P1 P4 --rounds 5")
	@scripts/bootstrap.sh requirements/dev.txt
	@exec $(PY) -m benchmarks $(ARGS)

load: ## Load the whole product with mixed requests (ARGS="--rate 50 --minutes 60"; needs nginx)
	@exec scripts/load.sh $(ARGS)

test-long: ## Run what takes too long for `make test`: races, stories, payments at failing gateways (ARGS="races")
	@scripts/bootstrap.sh requirements/dev.txt
	@exec scripts/test_long.sh $(ARGS)

test-faults: ## Break the product under load in every way and compare, half an hour (ARGS="--only redis --short")
	@exec scripts/test_faults.sh $(ARGS)

test-hosts: ## Run the product on several hosts and break each, two hours (ARGS="--only db1"; needs root)
	@exec scripts/test_hosts.sh $(ARGS)

test-mutants: ## Remove the guards of money one at a time and see that the tests notice (ARGS="-k lock")
	@scripts/bootstrap.sh requirements/dev.txt
	@exec $(PY) -m tests.mutants $(ARGS)

clients: ## Write the clients in clients/ anew from the API's description (needs npm)
	@scripts/bootstrap.sh requirements/dev.txt
	@exec scripts/clients.sh

lint: ## Run the checks: ruff, mypy, import rules, migrations, deployment settings
	@scripts/bootstrap.sh requirements/dev.txt
	@exec scripts/lint.sh

audit: ## Ask for known advisories against the pinned packages (needs the network; not part of test)
	@scripts/bootstrap.sh requirements/dev.txt
	@exec scripts/audit.sh

format: ## Format the code and fix what can be fixed by itself
	@scripts/bootstrap.sh requirements/dev.txt
	@$(PY) -m ruff check --fix-only --quiet .
	@$(PY) -m ruff format .

lock: ## Pin the dependencies again, with hashes (needs uv; UPGRADE=1 takes newer versions)
	@exec scripts/lock.sh

messages: ## Collect and compile the translations (needs gettext)
	@exec scripts/messages.sh

clean: ## Remove caches and test results; keeps .venv, .env and the demo's data
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis test-artifacts staticfiles
	@find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
