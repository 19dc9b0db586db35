"""The Django project: wiring, and the ground that every room stands on."""

from tcmpay.celery import app as celery_app

__all__ = ["celery_app"]
