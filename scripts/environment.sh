# Sourced by the scripts that run checks: an environment of their own, whatever a developer's
# .env says. The secrets are for checks only and open nothing.
export TCMPAY_ENV_FILE=""
export DJANGO_SETTINGS_MODULE=tcmpay.settings
export DEBUG=on
export SECRET_KEY=checks-only-0b7c1f5e9a2d4c8f6e3b1a7d5c9f2e4b8d0a6c3f1e5b
export CONFIG_ENCRYPTION_KEYS=Y2hlY2tzLW9ubHktY2hlY2tzLW9ubHktY2hlY2tzLTE=
export JWT_SECRET=checks-only-7d1e4f8a2b5c9e3f6a0d8b4c1e7f5a2d
export JWT_ALGORITHM=HS256
# Nothing is written to the folder, and no server is asked.
export DATABASE_URL=sqlite://:memory:
export CELERY_BROKER_URL=redis://127.0.0.1:6379/0
unset AUDIT_CHAIN_KEYS CACHE_URL MOCK_CALLBACKS JWT_PUBLIC_KEY
