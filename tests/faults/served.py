"""The product's WSGI application with failpoints, for gunicorn under a fault test."""

from tcmpay.wsgi import application
from tests.faults import hooks

hooks.install()

__all__ = ["application"]
