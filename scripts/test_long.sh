#!/usr/bin/env bash
# What takes too long for `make test`, step by step: all of them, or those that are named.
# Needs what `make test` installs. Every step prints its seed and its figures.
set -uo pipefail
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/usr/local/sbin:/opt/homebrew/bin:/opt/homebrew/opt/mariadb/bin
export PATH

unset DATABASE_URL CACHE_URL CELERY_BROKER_URL DEBUG SECRET_KEY CONFIG_ENCRYPTION_KEYS \
    AUDIT_CHAIN_KEYS \
    JWT_SECRET JWT_PUBLIC_KEY JWT_ALGORITHM MOCK_CALLBACKS ORDER_PRICE_POLICY ORDER_EXPIRE_MINUTES
export TEST_SEED=${TEST_SEED:-$((RANDOM * 32768 + RANDOM))}
export RACE_RUNS=${RACE_RUNS:-200}
export STATEFUL_EXAMPLES=${STATEFUL_EXAMPLES:-400}

# These tests run for long: showing after minutes where they are would only disturb them.
pytest=(.venv/bin/python -m pytest -q -o faulthandler_timeout=0)
on_sqlite() { "${pytest[@]}" "$@"; }
on_mariadb() { .venv/bin/python -m tests.servers -- "${pytest[@]}" "$@"; }

# --- the steps: one function each ---------------------------------------------------------------
long_alarms() {
    if ! command -v promtool >/dev/null; then
        local as_root=""
        [ "$(id -u)" = 0 ] || as_root="sudo -n"
        $as_root apt-get update -qq &&
            $as_root env DEBIAN_FRONTEND=noninteractive \
                apt-get install -qq -y --no-install-recommends prometheus >/dev/null || return
    fi
    promtool check config deploy/monitoring/prometheus.yml &&
        promtool test rules deploy/monitoring/tcmpay.rules.test.yml
}
long_audit() { AUDIT_DRAWS=all on_sqlite -s tests/audit/test_drawn_changes.py; }
# Needs age (apt-get install age).
long_backup() { .venv/bin/python -m tests.backup; }
long_bulk() { BULK_ROWS=${BULK_ROWS:-1000} on_mariadb -n 0 tests/engine/test_killed_bulk.py; }
# Needs Node 20, a JDK of 17 or later, npm and PyPI.
long_clients() { .venv/bin/python -m tests.clients && .venv/bin/python -m clients.live; }
long_closing() { CLOSE_RUNS=${CLOSE_RUNS:-500} on_sqlite reconciliation/tests/test_late_facts.py -n 2; }
long_events() {
    EVENTS_PAYMENTS=2000 on_sqlite -n 0 tests/events/test_random_run.py && on_mariadb tests/events -n 2
}
long_gateways() {
    .venv/bin/python -m tests.trial --seed "$TEST_SEED" &&
        .venv/bin/python -m tests.trial --seed "$TEST_SEED" --mariadb
}
long_hanging() { .venv/bin/python -m tests.gateways.responsiveness; }
long_hostile() {
    # A little more than 100,000: some operations have fewer ways to be asked than their share.
    HOSTILE_REQUESTS=113000 on_sqlite tests/hostile -n 2 -s &&
        HOSTILE_REQUESTS=10000 on_mariadb tests/hostile -n 2 -s
}
long_mutants() {
    # Which tests run which functions takes a whole run of the tests; then the changes are drawn.
    .venv/bin/python -m tests.mutants.drawn reach &&
        .venv/bin/python -m tests.mutants.drawn run --seed "$TEST_SEED" --count "${MUTANTS:-120}"
}
long_pages() { PAGES_OF=all on_sqlite -s --show-capture=no -m browser tests/browser; }
long_races() { on_mariadb tests/races -n 2; }
long_stateful() { on_sqlite tests/stateful -n 2 && on_mariadb tests/stateful -n 2; }
long_readme() { .venv/bin/python -m tests.readme; }
long_reconciliation() {
    RECONCILIATION_SEEDS=1000 on_sqlite -n 2 reconciliation/tests/test_drawn_days.py &&
        RECONCILED_PAYMENTS=5000 RECONCILED_DAYS=30 RECONCILED_PAYMENTS_A_DAY=60 \
            on_sqlite -s tests/reconciled &&
        RECONCILIATION_SEEDS=50 on_mariadb -n 2 reconciliation tests/reconciled
}
long_refusals() {
    local tests=(tests/refused refunds/tests/test_notice_cells.py)
    REFUSALS=all on_sqlite "${tests[@]}" -n 2 && REFUSALS=all on_mariadb "${tests[@]}" -n 2
}
long_scale() { .venv/bin/python -m tests.scale && .venv/bin/python -m tests.scale.audit; }
# Needs root, nginx, python3-venv and PyPI; without root it says so and plays the first half alone.
long_upgrade() {
    .venv/bin/python -m tests.servers -- .venv/bin/python -m tests.deploy.former &&
        .venv/bin/python -m tests.deploy.upgrade --rate "${UPGRADE_RATE:-50}"
}

# --- run them -----------------------------------------------------------------------------------
steps=$(declare -F | sed -n 's/^declare -f long_//p')
wanted=${*:-$steps}
failed=()
for step in $wanted; do
    declare -F "long_$step" >/dev/null || { echo "no such step: $step (there are:" $steps")" >&2; exit 2; }
done
for step in $wanted; do
    started=$SECONDS
    echo "== $step (seed $TEST_SEED)"
    "long_$step" || failed+=("$step")
    echo "== $step: $((SECONDS - started)) s"
done
[ ${#failed[@]} = 0 ] || { echo "FAILED: ${failed[*]}" >&2; exit 1; }
