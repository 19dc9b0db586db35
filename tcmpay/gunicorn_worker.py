"""gunicorn's threads, with a bound on how long a client may take to send its request."""

from typing import Any

from gunicorn.workers.gthread import ThreadWorker

from tcmpay.common.reading_time import head_watched


class BoundedThreadWorker(ThreadWorker):
    """``--worker-class tcmpay.gunicorn_worker.BoundedThreadWorker``"""

    def handle(self, conn: Any) -> Any:
        with head_watched(lambda: conn.sock):
            return super().handle(conn)
