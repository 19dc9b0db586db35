"""``/metrics`` for Prometheus: what the processes counted, and how much work waits in the rows."""

import hmac
import logging
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

from backoffice.ops.figures import Figure, figures
from tcmpay.common.client_address import is_this_machine

logger = logging.getLogger(__name__)

# Two scrapers, or an impatient one, ask the database once.
KEPT_SECONDS = 10.0
# A process's file is empty for a moment after it was made.
FILE_BEING_MADE_SECONDS = 5.0
MULTIPROCESS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


class KeptFigures:
    """The database's figures as they were counted at most KEPT_SECONDS ago."""

    def __init__(self) -> None:
        self._counted_at = float("-inf")
        self._figures: list[Figure] = []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        if time.monotonic() - self._counted_at >= KEPT_SECONDS:
            self._figures = list(figures())
            self._counted_at = time.monotonic()
        for figure in self._figures:
            family = GaugeMetricFamily(f"tcmpay_{figure.name}", figure.text, labels=figure.labels)
            for labels, value in figure.samples:
                family.add_metric(labels, value)
            yield family


KEPT = KeptFigures()


def discard_damaged_figures(folder: Path) -> None:
    """Throw away what processes counted and can't be read: one such file would hide them all."""
    for file in folder.glob("*.db"):
        try:
            if time.time() - file.stat().st_mtime < FILE_BEING_MADE_SECONDS:
                continue
            for _value in MmapedDict.read_all_values_from_file(str(file)):
                pass
        except FileNotFoundError:
            continue
        except (OSError, RuntimeError, ValueError, struct.error) as error:
            logger.warning("metrics_thrown_away", extra={"file": file.name, "reason": str(error)})
            file.unlink(missing_ok=True)


def metrics(request: HttpRequest) -> HttpResponse:
    if refusal := _refusal(request):
        return refusal
    processes: Any = REGISTRY
    if os.environ.get(MULTIPROCESS_FOLDER):
        discard_damaged_figures(Path(os.environ[MULTIPROCESS_FOLDER]))
        processes = CollectorRegistry()
        MultiProcessCollector(processes)
    kept = CollectorRegistry()
    kept.register(KEPT)
    body = generate_latest(processes) + generate_latest(kept)
    return HttpResponse(body, content_type=CONTENT_TYPE_LATEST)


def _refusal(request: HttpRequest) -> HttpResponse | None:
    """None for whoever may look: with METRICS_TOKEN its holder, else this machine, directly."""
    if settings.METRICS_TOKEN:
        given = request.META.get("HTTP_AUTHORIZATION", "")
        wanted = f"Bearer {settings.METRICS_TOKEN}"
        if hmac.compare_digest(given.encode(), wanted.encode()):
            return None
        headers = {"WWW-Authenticate": "Bearer"}
        return HttpResponse(status=401, headers=headers, content_type="text/plain")
    if is_this_machine(request.META):
        return None
    return HttpResponse(status=404, content_type="text/plain")
