#!/usr/bin/env bash
# Lays this release down beside those of before, on a Debian 12 or later (systemd 252, Python 3.11):
#
#   sudo deploy/install.sh [RELEASE]    # RELEASE: the version in tcmpay/version.py when not given
#
# Makes what is missing: the user, the folders, the units, the keys that are this deployment's own.
# Starts nothing, changes no file of /etc that is there, and runs again without harm. What comes
# next is in docs/production.md, and for an upgrade in docs/upgrading.md.
set -euo pipefail
umask 022  # whatever root's is: the services read what is laid down here
cd "$(dirname "$0")/.."

die() {
    echo "$*" >&2
    exit 1
}
[ "$(id -u)" = 0 ] || die "需要 root / as root: sudo deploy/install.sh"
version=$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
[ "${version:-0}" -ge 252 ] || die "需要 systemd 252 / systemd 252 or later is needed (Debian 12)"
release=${1:-$(sed -n 's/^__version__ = "\(.*\)".*/\1/p' tcmpay/version.py)}
[[ $release =~ ^[A-Za-z0-9._]+$ ]] || die "不能用作版本名 / no name of a release: $release"
folder=/srv/tcmpay/releases/$release
python=${PYTHON:-python3}

# --- the user, the folders ------------------------------------------------------------------------
getent passwd tcmpay >/dev/null ||
    useradd --system --user-group --home-dir /var/lib/tcmpay --no-create-home --shell /usr/sbin/nologin tcmpay
install -d -m 755 /srv/tcmpay /srv/tcmpay/releases /srv/tcmpay/static /etc/tcmpay
install -d -m 700 /etc/credstore

# --- the release: owned by root, so that the services can't change their own code ---------------
if [ ! -e "$folder/.complete" ]; then
    rm -rf "$folder"
    install -d -m 755 "$folder"
    tar --create --exclude=./.git --exclude=./.venv --exclude=./.env --exclude=./.demo \
        --exclude=./.dev-secrets.json --exclude='./db.sqlite3*' --exclude=./staticfiles \
        --exclude=./deploy/container/secrets --exclude=./deploy/container/tls \
        --exclude=./deploy/container/tcmpay.env --exclude=./test-artifacts --exclude=__pycache__ . |
        tar --extract --no-same-owner --directory "$folder"
    # Where it will run: what pip writes names this folder.
    "$python" -m venv "$folder/.venv"
    "$folder/.venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes \
        --requirement "$folder/requirements.txt"
    chmod -R u=rwX,go=rX "$folder"
    "$folder/.venv/bin/python" -m compileall -q "$folder" >/dev/null || true
    "$folder/deploy/collectstatic.sh"
    touch "$folder/.complete"
fi
# nginx serves them from here, those of former releases too: open pages still ask for them.
cp --no-clobber --recursive "$folder/staticfiles/." /srv/tcmpay/static/

# --- units and commands ---------------------------------------------------------------------------
install -D -m 644 -t /etc/systemd/system deploy/systemd/tcmpay*.{service,socket,target,timer}
install -D -m 644 -t /etc/systemd/system/tcmpay-.service.d deploy/systemd/tcmpay-.service.d/*.conf
install -D -m 755 -t /usr/local/sbin deploy/bin/tcmpay-*
systemctl daemon-reload

# --- what is made once ----------------------------------------------------------------------------
[ -e /etc/tcmpay/tcmpay.env ] || install -m 644 deploy/tcmpay.env.example /etc/tcmpay/tcmpay.env

# keep NAME VALUE: a secret that is there already stays.
keep() {
    [ -e "/etc/credstore/tcmpay.$1" ] || (umask 077 && printf '%s\n' "$2" >"/etc/credstore/tcmpay.$1")
}
random() { "$folder/.venv/bin/python" -c 'import secrets; print(secrets.token_urlsafe(48))'; }
keep SECRET_KEY "$(random)"
keep AUDIT_CHAIN_KEYS "$(random)"
keep METRICS_TOKEN "$(random)"
keep CONFIG_ENCRYPTION_KEYS "$("$folder/.venv/bin/python" -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())')"

missing=""
for name in DATABASE_URL CELERY_BROKER_URL CACHE_URL; do
    [ -e "/etc/credstore/tcmpay.$name" ] || missing="$missing tcmpay.$name"
done
[ -e /etc/credstore/tcmpay.JWT_SECRET ] || [ -e /etc/credstore/tcmpay.JWT_PUBLIC_KEY ] ||
    missing="$missing tcmpay.JWT_SECRET"
[ -z "$missing" ] || echo "还要写 / Still to be written in /etc/credstore:$missing"
echo "已安装 / Laid down: $folder"
echo "接着 / Next: tcmpay-upgrade $release"
