#!/bin/sh
# Collects the static files of the release in this folder. It needs settings, but none of the
# deployment's: those here are made for this one command and kept nowhere.
set -eu
cd "$(dirname "$0")/.."
made() { .venv/bin/python -c 'import secrets; print(secrets.token_urlsafe(48))'; }
export TCMPAY_ENV_FILE='' DEBUG=off ALLOWED_HOSTS=localhost DATABASE_URL=sqlite://:memory: \
    SQLITE_IN_PRODUCTION=yes CREDENTIALS_DIRECTORY=''
SECRET_KEY=$(made) JWT_SECRET=$(made) \
    CONFIG_ENCRYPTION_KEYS=$(.venv/bin/python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())') \
    .venv/bin/python manage.py collectstatic --noinput --verbosity 0
