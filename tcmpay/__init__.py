"""The Django project: wiring, and the ground that every room stands on."""

from tcmpay.celery import app as celery_app
from tcmpay.version import __version__

__all__ = ["__version__", "celery_app"]
