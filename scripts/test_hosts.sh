#!/usr/bin/env bash
# Everything that `make test-hosts` does: install what is missing, then run the product on several
# hosts, each a network namespace, and break them one after the other. Needs root on Linux.
# Arguments go to `python -m tests.hosts`.
set -euo pipefail
cd "$(dirname "$0")/.."

PATH=$PATH:/usr/sbin:/usr/local/sbin
export PATH

has() { command -v "$1" >/dev/null 2>&1; }
has_file() { ls $1 >/dev/null 2>&1; }

missing() {
    has mariadbd && has mariadb-install-db || echo mariadb-server
    has redis-server || echo redis-server
    has ip || echo iproute2
    has socat || echo socat
    has_file '/usr/lib*/galera/libgalera_smm.so' || echo galera-4
    has rsync || echo rsync
    has lsof || echo lsof
}

packages=$(missing | tr '\n' ' ')
if [ -n "$packages" ]; then
    if has apt-get && [ "$(id -u)" = 0 ]; then
        echo "安装软件 / Installing: $packages"
        apt-get update -qq
        # shellcheck disable=SC2086
        env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $packages >/dev/null
    else
        # What needs one of them says so and is skipped.
        echo "缺少软件 / Missing (names of the Debian packages): $packages" >&2
    fi
fi
scripts/bootstrap.sh requirements/dev.txt

unset DATABASE_URL DATABASE_REPLICA_URL CACHE_URL CELERY_BROKER_URL DEBUG SECRET_KEY \
    CONFIG_ENCRYPTION_KEYS AUDIT_CHAIN_KEYS \
    JWT_SECRET JWT_PUBLIC_KEY JWT_ALGORITHM MOCK_CALLBACKS ORDER_PRICE_POLICY ORDER_EXPIRE_MINUTES
exec .venv/bin/python -m tests.hosts "$@"
