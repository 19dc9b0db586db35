"""gunicorn's threads, with a bound on how long a client may take to send its request."""

from typing import Any

from gunicorn.workers.gthread import ThreadWorker

from tcmpay.common.reading_time import head_watched
from tcmpay.logs import gunicorn_begin


class BoundedThreadWorker(ThreadWorker):
    """``--worker-class tcmpay.gunicorn_worker.BoundedThreadWorker``

    What a proxy says is Django's to judge, by TRUSTED_PROXY_HOPS. gunicorn itself believes whoever
    asks from this machine: that TLS was used, and where the product is mounted.
    """

    @classmethod
    def setup(cls) -> None:
        """Called in the master, before its first line."""
        gunicorn_begin()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.cfg.set("secure_scheme_headers", {})
        self.cfg.set("forwarder_headers", "")

    def handle(self, conn: Any) -> Any:
        with head_watched(lambda: conn.sock):
            return super().handle(conn)
