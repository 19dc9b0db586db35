"""How a log line is written: one JSON object, without secrets.

structlog's formatter copies each record and hands it from step to step, which was an eighth of what
a payment cost. Plain records, which nearly all are, take the short way here; those of structlog's
own loggers and those with an exception take its.
"""

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from structlog.contextvars import merge_contextvars
from structlog.stdlib import ProcessorFormatter

from tcmpay.common.redaction import redact_event

# What every record has; the rest was given by whoever logged.
_OF_EVERY_RECORD = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {
    "message",
    "asctime",
    "taskName",
}


def json_line(event: Any, **options: Any) -> str:
    """``event`` as JSON; integers beyond 64 bits and odd texts are the standard library's."""
    try:
        return orjson.dumps(event, default=options.get("default")).decode()
    except TypeError:
        return json.dumps(event, ensure_ascii=False, **options)


class LineFormatter(ProcessorFormatter):
    def format(self, record: logging.LogRecord) -> str:
        facts = record.__dict__
        if record.exc_info or record.stack_info or "_logger" in facts:
            return super().format(record)
        event: dict[str, Any] = {"event": record.getMessage()}
        merge_contextvars(None, "", event)
        event["logger"], event["level"] = record.name, record.levelname.lower()
        event.update(_given(facts))
        moment = datetime.fromtimestamp(record.created, UTC).replace(tzinfo=None)
        event["timestamp"] = f"{moment.isoformat(timespec='microseconds')}Z"
        return json_line(redact_event(None, "", event))


def _given(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if name not in _OF_EVERY_RECORD}
