"""Which logger says how much, and how each line is written: JSON, without secrets."""

import logging.config
from typing import Any

import structlog

from tcmpay.common.log_lines import LineFormatter, json_line
from tcmpay.common.redaction import RedactingFilter, redact_event

# What LOG_LEVEL is about; others' own words stay few.
OURS = (
    "tcmpay",
    "backoffice",
    "reconciliation",
    "refunds",
    "payments",
    "balances",
    "config",
    "gateways",
    "webhooks",
    "django_structlog",
)
# The gateways' SDKs and HTTP write whole messages when they debug: never that far.
NEVER_IN_DETAIL = (
    "python-alipay-sdk",
    "alipay",
    "wechatpayv3",
    "urllib3",
    "requests",
    "axes",
    "MySQLdb",
)
_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def logging_of(level: str) -> dict[str, Any]:
    """The standard library's configuration for ``LOG_LEVEL``."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": LineFormatter,
                "foreign_pre_chain": _SHARED,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.format_exc_info,
                    redact_event,
                    structlog.processors.JSONRenderer(serializer=json_line),
                ],
            },
        },
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"handlers": ["console"], "level": "INFO" if level == "DEBUG" else level},
        "loggers": {
            **{name: {"level": level} for name in OURS},
            **{name: {"level": "WARNING"} for name in NEVER_IN_DETAIL},
            "django.server": {"level": "WARNING"},
            # What it says of refusals stands in the request's own line, bounded and counted.
            "django.request": {"level": "ERROR"},
            # Strangers choose how often: metrics count it (400).
            "django.security.DisallowedHost": {"level": "CRITICAL"},
            # The filesystem broker has no host name, and kombu remarks upon it each time.
            "kombu.connection": {"level": "ERROR"},
        },
    }


def logs_begin(config: dict[str, Any]) -> None:
    """Configure both logging and structlog with it."""
    structlog.configure(
        processors=[
            *_SHARED,
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    logging.config.dictConfig(config)
    gunicorn_begin()


def gunicorn_begin() -> None:
    """gunicorn writes through handlers of its own, its master's before it knows the product."""
    settings = logging_of("INFO")["formatters"]["json"]
    formatter = LineFormatter(**{name: value for name, value in settings.items() if name != "()"})
    for name in ("gunicorn.error", "gunicorn.access"):
        theirs = logging.getLogger(name)
        if not any(isinstance(one, RedactingFilter) for one in theirs.filters):
            theirs.addFilter(RedactingFilter())
        for handler in theirs.handlers:
            handler.setFormatter(formatter)
