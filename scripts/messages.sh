#!/usr/bin/env bash
# Collects the texts of the code into locale/*/LC_MESSAGES/django.po and compiles them.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/environment.sh
. scripts/environment.sh

command -v msgfmt >/dev/null ||
    { echo "需要 gettext / gettext is needed: apt install gettext | brew install gettext" >&2; exit 1; }
scripts/bootstrap.sh requirements/base.txt
.venv/bin/python manage.py makemessages --all --no-location --ignore '.venv/*' --ignore 'tests/*' --ignore '*/tests/*'
.venv/bin/python manage.py compilemessages --ignore '.venv'
