#!/usr/bin/env bash
# Everything that `make load` does: install what is missing, locust in an environment of its own,
# then load the product. Arguments go to `python -m benchmarks.load`.
set -euo pipefail
cd "$(dirname "$0")/.."

PATH=$PATH:/usr/sbin:/usr/local/sbin:/opt/homebrew/bin:/opt/homebrew/opt/mariadb/bin
export PATH

has() { command -v "$1" >/dev/null 2>&1; }

missing() {
    has mariadbd && has mariadb-install-db || echo mariadb-server
    has redis-server || echo redis-server
    has nginx || echo nginx-light
}

packages=$(missing | tr '\n' ' ')
if [ -n "$packages" ]; then
    if has apt-get && [ "$(id -u)" = 0 ]; then
        echo "安装软件 / Installing: $packages"
        apt-get update -qq
        # shellcheck disable=SC2086
        env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $packages >/dev/null
    else
        echo "缺少软件 / Missing (names of the Debian packages): $packages" >&2
        exit 1
    fi
fi
scripts/bootstrap.sh requirements/dev.txt
VENV=.venv-load scripts/bootstrap.sh requirements/load.txt

unset DATABASE_URL CACHE_URL CELERY_BROKER_URL DEBUG SECRET_KEY CONFIG_ENCRYPTION_KEYS \
    AUDIT_CHAIN_KEYS \
    JWT_SECRET JWT_PUBLIC_KEY JWT_ALGORITHM MOCK_CALLBACKS ORDER_PRICE_POLICY ORDER_EXPIRE_MINUTES
exec .venv/bin/python -m benchmarks.load "$@"
