#!/usr/bin/env bash
# The gates that need no database server: all of them run, then it says which failed.
set -uo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/environment.sh
. scripts/environment.sh

bin=.venv/bin
failed=""

gate() {
    local name=$1 output started=$SECONDS
    shift
    if output=$("$@" 2>&1); then
        echo "ok      $name ($((SECONDS - started)) s)"
    else
        echo "FAILED  $name"
        echo "$output" | tail -n 80
        failed="$failed, $name"
    fi
}

# A room that the import rules don't know would be free of them.
rooms_are_known() {
    $bin/python - <<'PYTHON'
import pathlib, sys, tomllib
known = tomllib.loads(pathlib.Path("pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]
rooms = {path.parent.name for path in pathlib.Path().glob("*/__init__.py")} - {"tests", "benchmarks"}
if unknown := rooms - set(known):
    sys.exit(f"add to root_packages in pyproject.toml: {', '.join(sorted(unknown))}")
PYTHON
}

# What a deployment's environment looks like; nothing connects anywhere.
deployment_check() {
    local secrets
    # Random as in a deployment: what stands in files is refused with DEBUG off.
    secrets=$($bin/python -c 'import base64, secrets
print("SECRET_KEY=" + secrets.token_urlsafe(48), "JWT_SECRET=" + secrets.token_urlsafe(48),
    "AUDIT_CHAIN_KEYS=" + secrets.token_urlsafe(48),
    "CONFIG_ENCRYPTION_KEYS=" + base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())')
    # shellcheck disable=SC2086
    env $secrets DEBUG=off ALLOWED_HOSTS=pay.tcm.test \
        DATABASE_URL=mysql://tcm_user:none@127.0.0.1:3306/tcm_telemedicine \
        CELERY_BROKER_URL=redis://127.0.0.1:6379/0 CACHE_URL=redis://127.0.0.1:6379/1 \
        $bin/python - <<'PYTHON'
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "tcmpay.settings"
import django
from django.conf import settings
from django.core.management import call_command
django.setup()
# The doctor's part is about a machine that serves; this one need not.
settings.SILENCED_SYSTEM_CHECKS = ["doctor.environment", "doctor.files", "doctor.backups"]
call_command("check", deploy=True, fail_level="WARNING")
PYTHON
}

gate "ruff check" $bin/ruff check --output-format concise .
gate "ruff format" $bin/ruff format --check --output-format concise .
gate "mypy" $bin/mypy
gate "import rules" $bin/lint-imports
gate "every room has import rules" rooms_are_known
gate "migrations match the models" $bin/python manage.py makemigrations --check --dry-run
gate "deployment settings" deployment_check

if [ -n "$failed" ]; then
    echo "checks failed:${failed#,}"
    exit 1
fi
