"""The Celery application. Schedules are in settings: money jobs are code, not rows."""

import os
from typing import Any

from celery import Celery
from celery.signals import worker_init
from django.core.exceptions import ImproperlyConfigured

from tcmpay.common.database_session import require_sound_database

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tcmpay.settings")

app = Celery("tcmpay")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect
def refuse_an_unsound_database(**kwargs: Any) -> None:
    try:
        require_sound_database()
    except ImproperlyConfigured as error:
        # Celery logs what a signal's receiver raises and goes on; this it lets through.
        raise SystemExit(str(error)) from error
