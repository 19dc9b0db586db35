#!/usr/bin/env bash
# Everything that `make test` does: install what is missing, run the checks, then all tests on
# SQLite, on a private MariaDB and Redis, and in a browser. Arguments after "--" go to pytest.
# --only-sqlite leaves out the last two: for a second and third Python.
set -euo pipefail
cd "$(dirname "$0")/.."

die() {
    echo "$*" >&2
    exit 1
}

pytest_arguments=()
only_sqlite=false
while [ $# -gt 0 ]; do
    case $1 in
        --only-sqlite) only_sqlite=true; shift ;;
        --) shift; pytest_arguments=("$@"); break ;;
        *) die "usage: scripts/test.sh [--only-sqlite] [-- PYTEST_ARGUMENT…]" ;;
    esac
done

# --- what the machine must have -----------------------------------------------------------------
PATH=$PATH:/usr/sbin:/usr/local/sbin:/opt/homebrew/bin:/opt/homebrew/opt/mariadb/bin
export PATH

has() { command -v "$1" >/dev/null 2>&1; }

has_browser() {
    has chromium || has chromium-browser || has google-chrome || has google-chrome-stable ||
        [ -d "/Applications/Google Chrome.app" ] || [ -d "/Applications/Chromium.app" ]
}

has_chinese_font() {
    [ "$(uname)" = Darwin ] || { has fc-list && [ -n "$(fc-list :lang=zh-cn 2>/dev/null | head -n 1)" ]; }
}

# The driver is compiled only once; with it in place no compiler is needed.
has_driver() { [ -x .venv/bin/python ] && .venv/bin/python -c 'import MySQLdb' >/dev/null 2>&1; }

has_driver_library() {
    has pkg-config && { pkg-config --exists libmariadb || pkg-config --exists mariadb ||
        pkg-config --exists mysqlclient || pkg-config --exists perconaserverclient; }
}

has_python_headers() {
    local python
    for python in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
        "$python" - <<'PYTHON' 2>/dev/null && return
import os, sys, sysconfig
sys.exit(sys.version_info < (3, 11) or not os.path.exists(sysconfig.get_path("include") + "/Python.h"))
PYTHON
    done
    return 1
}

# Ubuntu has it under another name.
browser_package() {
    if grep -q '^ID=ubuntu' /etc/os-release 2>/dev/null; then echo chromium-browser; else echo chromium; fi
}

missing_apt() {
    has mariadbd && has mariadb-install-db || echo mariadb-server
    has redis-server || echo redis-server
    has_browser || browser_package
    has_chinese_font || echo fontconfig fonts-noto-cjk
    if ! has_driver; then
        has gcc || echo gcc libc6-dev
        has_driver_library || echo libmariadb-dev pkg-config
        has_python_headers || echo python3-dev
    fi
    if ! [ -x .venv/bin/python ]; then
        python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || echo python3-venv
    fi
}

missing_brew() {
    has mariadbd && has mariadb-install-db || echo mariadb
    has redis-server || echo redis
    has_browser || echo google-chrome
    has_driver || has_driver_library || echo pkg-config
}

install_missing() {
    local packages as_root=""
    if [ "$(uname)" = Darwin ]; then
        packages=$(missing_brew | tr '\n' ' ')
        [ -z "$packages" ] || die "缺少软件，请先安装 / Missing, install it first: brew install $packages"
        return
    fi
    packages=$(missing_apt | tr '\n' ' ')
    [ -n "$packages" ] || return 0
    has apt-get || die "缺少软件，请先安装 / Missing; these are the names of the Debian packages: $packages"
    if [ "$(id -u)" != 0 ]; then
        sudo -n true 2>/dev/null ||
            die "缺少软件，请先安装 / Missing, install it first: sudo apt-get install -y --no-install-recommends $packages"
        as_root="sudo -n"
    fi
    echo "安装软件 / Installing: $packages"
    # Services that a package starts by itself are neither used nor touched.
    $as_root apt-get update -qq
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $packages >/dev/null ||
        die "安装失败，原因见上 / The installation failed, the reason is above"
}

install_missing
scripts/bootstrap.sh requirements/dev.txt

# --- checks, then the tests on both databases ---------------------------------------------------
rm -rf test-artifacts
mkdir -p test-artifacts
started=$SECONDS
# What runs beside the rest has a process group of its own, so that all of it can be ended.
beside=()
memory=""
end() {
    local group
    for group in ${beside[@]+"${beside[@]}"}; do kill -- "-$group" 2>/dev/null || true; done
    [ -z "$memory" ] || rm -rf "$memory"
}
trap end EXIT
set -m
scripts/lint.sh >test-artifacts/checks.txt 2>&1 &
checks=$!
set +m
beside+=("$checks")

# What a developer's shell or .env says must not decide what is tested.
unset DATABASE_URL CACHE_URL CELERY_BROKER_URL DEBUG SECRET_KEY CONFIG_ENCRYPTION_KEYS \
    AUDIT_CHAIN_KEYS \
    JWT_SECRET JWT_PUBLIC_KEY JWT_ALGORITHM MOCK_CALLBACKS ORDER_PRICE_POLICY ORDER_EXPIRE_MINUTES
# Databases write each commit through to the disk. In memory that takes no time, and still outlives
# a killed server.
if [ -w /dev/shm ] && [ "$(df -Pk /dev/shm | awk 'END { print $4 }')" -gt 4000000 ]; then
    memory=$(mktemp -d /dev/shm/tcm-tests.XXXXXX)
    export TMPDIR=$memory
fi
# One seed for both runs; conftest.py prints it.
export TEST_SEED=${TEST_SEED:-$((RANDOM * 32768 + RANDOM))}

# Each test runs where it can find something. Whatever locks, counts, sorts or compares in SQL is
# asked on both databases; these need one of them:
on_sqlite_alone=(
    # without a database, or with one that only holds what the test puts there
    'clients/*'
    'gateways/*'
    'simulator/*'
    'tests/deploy/*'
    'tests/gateways/*'
    'tests/keys/*'
    'tests/mutants/*'
    'tests/pages/*'
    'tests/refused/*'
    tests/test_documents.py
    tests/test_environment.py
    tests/test_environment_forms.py
    tests/test_slow_clients.py
    tests/test_translations.py
    tests/test_version.py
    'tcmpay/common/*'
    # who may ask what, what is refused before any row is looked at, how answers and pages look
    'tests/authority/*'
    'tests/hostile/*'
    'tcmpay/accounts/*'
    'config/gateways/*'
    'backoffice/balances/*'
    'backoffice/demo/*'
    'backoffice/gateways/*'
    'backoffice/prices/*'
    'backoffice/refunds/*'
    'backoffice/staff/*'
    'backoffice/webhooks/*'
    'backoffice/site/tests/test_pages.py'
    'backoffice/trail/tests/test_words.py'
    tests/api/test_canaries.py
    tests/api/test_cors.py
    tests/api/test_deprecations.py
    tests/api/test_description.py
    tests/api/test_description_generous.py
    tests/api/test_envelope.py
    tests/api/test_hostile_input.py
    tests/api/test_incomplete_bodies.py
    tests/api/test_messages.py
    tests/api/test_metrics.py
    tests/api/test_money_input.py
    tests/api/test_page_middleware.py
    tests/api/test_request_log.py
    tests/api/test_schema_cost.py
    tests/api/test_tokens.py
    tests/events/test_addresses.py
    tests/events/test_examples.py
    tests/events/test_random_run.py
    payments/tests/test_cashier_links.py
    tests/test_cut_texts.py
    # every notice in every state: what is decided, not how it is stored
    refunds/tests/test_notice_cells.py
)
# SQLite has one writer: what comes at once, comes one after the other there.
on_mariadb_alone=('tests/races/*' 'tests/trial/*')
# Asked of MariaDB here, and of SQLite by the workflow's other Pythons (--only-sqlite): they take the
# longest, and audits, bills and lists of the demo's database are in other tests of the SQLite part.
if ! $only_sqlite; then
    on_mariadb_alone+=(
        'backoffice/reconciliation/*'
        'backoffice/site/tests/test_lists.py'
        'backoffice/today/*'
        'reconciliation/*'
        'tests/audit/*'
        'tests/engine/*'
        'tests/reconciled/*'
        'tests/stateful/*'
        tests/test_telemetry.py
    )
fi

cores=$(getconf _NPROCESSORS_ONLN)

# run NAME PART COMMAND…: one part of the tests; how it ended is kept for the summary.
run() {
    local name=$1 part=test-artifacts/$2 code=0
    shift 2
    echo "== tests: $name"
    "$@" --junit-xml="$part.xml" ${pytest_arguments[@]+"${pytest_arguments[@]}"} || code=$?
    # A part of the tests that was asked for need not have anything everywhere.
    if [ "$code" = 5 ] && [ "${#pytest_arguments[@]}" -gt 0 ]; then code=none; fi
    echo "$name=$code=$part.xml" >"$part.ended"
}

run_pytest=(.venv/bin/python -m pytest -n "$cores" -q)
run "SQLite" sqlite "${run_pytest[@]}" "${on_mariadb_alone[@]/#/--ignore-glob=}"
runs=("$(cat test-artifacts/sqlite.ended)")
if ! $only_sqlite; then
    # Both wait for other processes half of the time.
    set -m
    run "Pages" pages "${run_pytest[@]}" -m browser -o testpaths=tests/browser >test-artifacts/pages.txt 2>&1 &
    pages=$!
    set +m
    beside+=("$pages")
    run "MariaDB + Redis" mariadb \
        .venv/bin/python -m tests.servers -- "${run_pytest[@]}" "${on_sqlite_alone[@]/#/--ignore-glob=}"
    wait "$pages"
    cat test-artifacts/pages.txt
    runs+=("$(cat test-artifacts/mariadb.ended)" "$(cat test-artifacts/pages.ended)")
fi

echo "== checks"
gates=passed
wait "$checks" || gates=FAILED
cat test-artifacts/checks.txt
echo
echo "checks: $gates, $((SECONDS - started)) s in all"
.venv/bin/python scripts/test_summary.py "$gates" "${runs[@]}"
