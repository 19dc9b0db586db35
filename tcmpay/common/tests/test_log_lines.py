"""Our short way of writing a line writes what structlog's own formatter would."""

import io
import json
import logging
from typing import Any

import pytest
import structlog
from django.apps import apps
from django.conf import settings
from structlog.stdlib import ProcessorFormatter

from tcmpay.common.log_lines import LineFormatter, json_line
from tcmpay.logs import logging_of


def configured(kind: type[ProcessorFormatter]) -> ProcessorFormatter:
    options = {
        key: value for key, value in settings.LOGGING["formatters"]["json"].items() if key != "()"
    }
    return kind(**options)


PHONE = "13800138000"
LINES: dict[str, tuple[str, tuple[Any, ...], dict[str, Any]]] = {
    "a plain event": ("order_paid", (), {"object_id": "0192f0c1-7a3e-7abc-8def-0123456789ab"}),
    "with arguments": ("%s of %s", ("one", "two"), {}),
    "with a secret's name": ("asked", (), {"api_key": "x", "nested": {"password": "y"}}),
    "with a secret's look": ("token eyJhbGciOi.eyJzdWIi.c2lnbmF0dXJl", (), {"phone": PHONE}),
    "with odd values": ("odd", (), {"number": 10**30, "text": "\ud800", "some": (1, None)}),
}


@pytest.mark.parametrize("name", LINES)
def test_a_line_says_what_structlogs_would(name):
    text, arguments, extra = LINES[name]
    record = logging.getLogger("payments").makeRecord(
        "payments", logging.WARNING, "file.py", 1, text, arguments, None, extra=extra
    )
    with structlog.contextvars.bound_contextvars(request_id="r1"):
        ours = json.loads(configured(LineFormatter).format(record))
        theirs = json.loads(configured(ProcessorFormatter).format(record))
    assert ours.pop("timestamp")[-1] == theirs.pop("timestamp")[-1] == "Z"
    assert ours == theirs


def test_an_exception_is_told_with_its_trace():
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(configured(LineFormatter))
    logger = logging.Logger("x")
    logger.addHandler(handler)
    try:
        raise RuntimeError("Bearer abcdefghijkl")
    except RuntimeError:
        logger.exception("broken")
    line = json.loads(stream.getvalue())
    assert "RuntimeError: Bearer ********" in line["exception"]


def test_json_that_orjson_refuses_is_written_all_the_same():
    assert json.loads(json_line({"number": 2**70})) == {"number": 2**70}


def test_every_room_says_as_much_as_was_asked_for():
    rooms = {
        config.name.partition(".")[0]
        for config in apps.get_app_configs()
        if "site-packages" not in config.path
    }
    followed = {
        name for name, told in logging_of("DEBUG")["loggers"].items() if told["level"] == "DEBUG"
    }
    assert rooms - {"simulator"} <= followed
    assert "gateways" in followed
