"""The Django project: wiring, and the ground that every room stands on."""

from tcmpay.process_figures import share_figures

share_figures()

from tcmpay.celery import app as celery_app  # noqa: E402
from tcmpay.version import __version__  # noqa: E402

__all__ = ["__version__", "celery_app"]
