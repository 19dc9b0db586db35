"""Errors to Sentry and traces to OpenTelemetry: neither unless the deployment says where to.

Their packages (requirements/observability.txt) are imported only then. What leaves goes through
the redaction that the log goes through: no bodies, no headers, no local variables.
"""

import re
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from tcmpay.common.redaction import redacted
from tcmpay.common.request_id import current_request_id
from tcmpay.environment import Environment, Secrets
from tcmpay.version import __version__

SERVICE = "tcmpay"
FILE = "requirements/observability.txt"
_DSN = re.compile(r"https?://[0-9A-Za-z]+@[^/\s@]+/\S+")
_ENDPOINT = re.compile(r"https?://[^/?#@\s]+(/[^?#\s]*)?")
# Reports are nested more deeply than lines of a log.
_DEPTH = -20
_REQUEST_KEPT = ("method", "url")


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Where to; empty: nowhere."""

    sentry_dsn: str = ""
    otlp_endpoint: str = ""

    def __repr__(self) -> str:
        return f"<telemetry {bool(self.sentry_dsn)} {bool(self.otlp_endpoint)}>"


def read_telemetry(env: Environment, secrets: Secrets, *, debug: bool) -> Telemetry:
    dsn = secrets.optional("SENTRY_DSN")
    endpoint = env.str("OTEL_EXPORTER_OTLP_ENDPOINT", default="").rstrip("/")
    if dsn and not (_DSN.fullmatch(dsn) and (debug or dsn.startswith("https://"))):
        secrets.complain("SENTRY_DSN must be such as https://KEY@errors.example.com/1")
    # A collector is inside, beside us as a rule.
    if endpoint and not _ENDPOINT.fullmatch(endpoint):
        secrets.complain("OTEL_EXPORTER_OTLP_ENDPOINT must be such as http://127.0.0.1:4318")
    for name, value, package in (
        ("SENTRY_DSN", dsn, "sentry_sdk"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint, "opentelemetry"),
    ):
        if value and find_spec(package) is None:
            secrets.complain(f"{name} is set and {package} not installed: pip install -r {FILE}")
    return Telemetry(dsn, endpoint)


def telemetry_begin(telemetry: Telemetry) -> None:
    """Once a process, before Django's middleware and Celery's tasks are built."""
    if telemetry.sentry_dsn:
        _sentry_begin(telemetry.sentry_dsn)
    if telemetry.otlp_endpoint:
        _traces_begin(telemetry.otlp_endpoint)


# --- Sentry -------------------------------------------------------------------------------------


def _sentry_begin(dsn: str, **more: Any) -> None:
    import_module("sentry_sdk").init(
        dsn=dsn,
        release=__version__,
        send_default_pii=False,
        max_request_body_size="never",
        include_local_variables=False,
        before_send=event_cleaned,
        before_breadcrumb=breadcrumb_cleaned,
        **more,
    )


def event_cleaned(event: MutableMapping[str, Any], _hint: object = None) -> dict[str, Any]:
    """What is sent of ``event``; the request's id is a tag, by which the log is searched."""
    request = event.get("request") or {}
    kept = {name: request[name] for name in _REQUEST_KEPT if name in request}
    if "url" in kept:
        kept["url"] = str(kept["url"]).partition("?")[0]
    bare = {name: value for name, value in event.items() if name not in ("request", "user")}
    cleaned: dict[str, Any] = redacted(bare, _DEPTH)
    if kept:
        cleaned["request"] = redacted(kept)
    if request_id := current_request_id():
        cleaned["tags"] = {**(cleaned.get("tags") or {}), "request_id": request_id}
    return cleaned


def breadcrumb_cleaned(crumb: Mapping[str, Any], _hint: object = None) -> dict[str, Any]:
    data = {
        name: value
        for name, value in (crumb.get("data") or {}).items()
        if name not in ("http.query", "http.fragment")
    }
    cleaned: dict[str, Any] = redacted({**crumb, "data": data}, _DEPTH)
    if "timestamp" in crumb:
        cleaned["timestamp"] = crumb["timestamp"]
    return cleaned


# --- OpenTelemetry ------------------------------------------------------------------------------


def _traces_begin(endpoint: str) -> None:
    """Spans of requests, of the queue's tasks and of calls to gateways, joined from end to end."""
    exporter = import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    processors = import_module("opentelemetry.sdk.trace.export")
    sends = cleaning(exporter.OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces"))
    spans_begin(processors.BatchSpanProcessor(sends))


def spans_begin(processor: Any) -> None:
    sdk = import_module("opentelemetry.sdk.trace")
    resource = import_module("opentelemetry.sdk.resources").Resource.create(
        {"service.name": SERVICE, "service.version": __version__}
    )
    provider = sdk.TracerProvider(resource=resource)
    provider.add_span_processor(_naming(sdk.SpanProcessor))
    provider.add_span_processor(processor)
    import_module("opentelemetry.trace").set_tracer_provider(provider)
    import_module("opentelemetry.instrumentation.django").DjangoInstrumentor().instrument(
        response_hook=_name_request
    )
    import_module("opentelemetry.instrumentation.celery").CeleryInstrumentor().instrument()
    import_module("opentelemetry.instrumentation.urllib3").URLLib3Instrumentor().instrument(
        url_filter=lambda url: url.partition("?")[0]
    )


def _naming(base: Any) -> Any:
    """Names what begins within a request or a task; a request's own span begins before its id."""

    class Naming(base):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            _name_request(span)

    return Naming()


def _without_queries(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: str(value).partition("?")[0] if name in ("http.url", "http.target") else value
        for name, value in attributes.items()
        if name != "url.query"
    }


def _name_request(span: Any, *_about: object) -> None:
    if request_id := current_request_id():
        span.set_attribute("request_id", request_id)


def cleaning(exporter: Any) -> Any:
    """``exporter``, which gets spans without what looks like a secret or a person."""
    sdk = import_module("opentelemetry.sdk.trace")
    base = import_module("opentelemetry.sdk.trace.export").SpanExporter

    def cleaned(span: Any) -> Any:
        return sdk.ReadableSpan(
            name=redacted(span.name),
            context=span.context,
            parent=span.parent,
            resource=span.resource,
            attributes=redacted(_without_queries(span.attributes or {})),
            events=[
                sdk.Event(one.name, redacted(dict(one.attributes or {})), one.timestamp)
                for one in span.events
            ],
            links=span.links,
            kind=span.kind,
            # A description repeats what was raised.
            status=type(span.status)(span.status.status_code),
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=span.instrumentation_scope,
        )

    class Cleaning(base):  # type: ignore[misc,valid-type]
        def export(self, spans: Sequence[Any] | Iterable[Any]) -> Any:
            return exporter.export([cleaned(span) for span in spans])

        def shutdown(self) -> None:
            exporter.shutdown()

        def force_flush(self, timeout_millis: int = 30_000) -> Any:
            return exporter.force_flush(timeout_millis)

    return Cleaning()
