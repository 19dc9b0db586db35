"""The WSGI application that gunicorn serves."""

import gc
import logging
import os
import sys

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.wsgi import WSGIHandler
from django.core.wsgi import get_wsgi_application
from django.urls import reverse

from tcmpay.common.plain_request import PlainRequest
from tcmpay.common.reading_time import BodyWatched
from tcmpay.logs import logging_of, logs_begin
from tcmpay.telemetry import telemetry_begin

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tcmpay.settings")

# With this one gunicorn gives up, instead of starting workers that end over and over.
GUNICORN_GIVES_UP = 3


def _application() -> WSGIHandler:
    """Raises SystemExit, its reason told in lines of their own, when the deployment is unsound."""
    try:
        # Before the middleware is built, which traces go around.
        telemetry_begin(settings.TELEMETRY)
        served = get_wsgi_application()
        # Imported once Django is set up.
        from tcmpay.common.database_session import require_sound_database

        require_sound_database()
        # Every page's module, now instead of with the first request: with gunicorn's --preload once
        # for all its workers, while those of before still serve.
        reverse("admin:index")
    except (SystemExit, ImproperlyConfigured) as refusal:
        sys.stderr.write(f"{refusal}\n")
        raise SystemExit(GUNICORN_GIVES_UP) from None
    except Exception:
        # Told here, without secrets: gunicorn would print its text past every logger.
        logs_begin(logging_of("INFO"))
        logging.getLogger(__name__).exception("not_started")
        raise SystemExit(GUNICORN_GIVES_UP) from None
    served.request_class = PlainRequest
    # What is loaded stays to the end: a whole pass of the collector over its 200,000 objects held a
    # request up for 120 to 170 ms, every ten seconds at 50 requests a second.
    gc.collect()
    gc.freeze()
    return served


application = BodyWatched(_application())
