"""The product's Celery application with failpoints, and sweeps every few seconds."""

import os

import django

from tcmpay.celery import app
from tests.faults import hooks

django.setup()
hooks.install()
if os.environ.get(hooks.HASTE_VARIABLE):
    for name, seconds in hooks.SWEEPS_SECONDS.items():
        app.conf.beat_schedule[name]["schedule"] = seconds

__all__ = ["app"]
