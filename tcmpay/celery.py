"""The Celery application. Schedules are in settings: money jobs are code, not rows."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tcmpay.settings")

app = Celery("tcmpay")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
