"""Errors and traces leave only where the deployment says so, and without secrets."""

import json
import subprocess
import sys
from types import ModuleType

import pytest
from django.conf import settings

from tcmpay import telemetry
from tcmpay.common.request_id import set_request_id
from tcmpay.telemetry import Telemetry, breadcrumb_cleaned, event_cleaned, telemetry_begin
from tests.test_environment import PRODUCTION

DSN = "https://0a1b2c@errors.tcm.test/1"
CANARY = "CanaryOfTelemetry"
EVENT = {
    "event_id": "0123456789abcdef0123456789abcdef",
    "level": "error",
    "request": {
        "method": "POST",
        "url": f"https://pay.tcm.test/api/v1/payment/orders?sign={CANARY}",
        "query_string": f"token={CANARY}",
        "headers": {"Authorization": f"Bearer {CANARY}", "X-Anything": CANARY},
        "cookies": {"any": CANARY},
        "data": {"any": CANARY},
    },
    "user": {"id": CANARY},
    "extra": {"note": f"password={CANARY}", "prepay_id": CANARY},
    "exception": {
        "values": [
            {
                "type": "ValueError",
                "value": f"refused: apiv3_key={CANARY}",
                "stacktrace": {"frames": [{"function": "pay", "vars": {"secret": CANARY}}]},
            }
        ]
    },
}


@pytest.fixture(autouse=True)
def _no_request():
    set_request_id("")
    yield
    set_request_id("")


@pytest.mark.parametrize(
    ("name", "value", "package"),
    [
        ("SENTRY_DSN", DSN, "sentry_sdk"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318", "opentelemetry"),
    ],
)
def test_what_is_asked_for_and_not_installed_is_refused_in_a_line(name, value, package):
    code = (
        "import importlib.util as u; found = u.find_spec;"
        f"u.find_spec = lambda name, *a: None if name == {package!r} else found(name, *a);"
        "import tcmpay.settings"
    )
    environment = {**PRODUCTION, "TCMPAY_ENV_FILE": "", name: value}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=settings.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.startswith("tcmpay does not start")]
    assert lines == [
        f"tcmpay does not start: {name} is set and {package} not installed:"
        " pip install -r requirements/observability.txt"
    ]


def test_nothing_is_imported_unless_it_is_asked_for(monkeypatch):
    def imported(name):
        raise AssertionError(name)

    monkeypatch.setattr(telemetry, "import_module", imported)
    telemetry_begin(Telemetry())
    assert not settings.TELEMETRY.sentry_dsn
    assert not settings.TELEMETRY.otlp_endpoint


def test_sentry_begins_with_everything_of_a_person_off(monkeypatch):
    begun: list[dict[str, object]] = []
    fake = ModuleType("sentry_sdk")
    fake.init = lambda **options: begun.append(options)
    monkeypatch.setitem(sys.modules, "sentry_sdk", fake)
    telemetry_begin(Telemetry(sentry_dsn=DSN))
    [options] = begun
    assert options["dsn"] == DSN
    assert options["send_default_pii"] is False
    assert options["include_local_variables"] is False
    assert options["max_request_body_size"] == "never"
    assert (options["before_send"], options["before_breadcrumb"]) == (
        event_cleaned,
        breadcrumb_cleaned,
    )


def test_a_report_has_no_secret_and_keeps_what_helps():
    set_request_id("asked-1")
    sent = event_cleaned(EVENT)
    assert CANARY not in json.dumps(sent)
    assert sent["tags"]["request_id"] == "asked-1"
    assert sent["request"] == {
        "method": "POST",
        "url": "https://pay.tcm.test/api/v1/payment/orders",
    }
    [raised] = sent["exception"]["values"]
    assert raised["type"] == "ValueError"
    assert raised["stacktrace"]["frames"][0]["function"] == "pay"
    assert sent["event_id"] == EVENT["event_id"]


def test_a_breadcrumb_has_no_query_and_no_secret():
    crumb = {
        "timestamp": 1.5,
        "category": "httplib",
        "message": f"token={CANARY}",
        "data": {"url": "https://api.tcm.test/", "http.query": CANARY, "status_code": 200},
    }
    sent = breadcrumb_cleaned(crumb)
    assert CANARY not in json.dumps(sent)
    assert sent["timestamp"] == 1.5
    assert sent["data"] == {"url": "https://api.tcm.test/", "status_code": 200}


# --- with the packages themselves, where they are installed -------------------------------------


def test_the_sdk_sends_a_report_without_secrets(caplog):
    sentry = pytest.importorskip("sentry_sdk")
    transport = pytest.importorskip("sentry_sdk.transport")
    sent: list[bytes] = []

    class Kept(transport.Transport):  # type: ignore[name-defined]
        def capture_envelope(self, envelope):
            sent.append(envelope.serialize())

    telemetry._sentry_begin(DSN, transport=Kept)
    try:
        set_request_id("asked-1")
        try:
            password = CANARY
            raise ValueError(f"password={password}")
        except ValueError as error:
            sentry.capture_exception(error)
        sentry.flush()
    finally:
        sentry.init()
    said = b"".join(sent).decode()
    assert "ValueError" in said
    assert "asked-1" in said
    assert CANARY not in said


def test_spans_leave_without_secrets():
    export = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    trace = pytest.importorskip("opentelemetry.sdk.trace")
    simple = pytest.importorskip("opentelemetry.sdk.trace.export")
    kept = export.InMemorySpanExporter()
    provider = trace.TracerProvider()
    provider.add_span_processor(simple.SimpleSpanProcessor(telemetry.cleaning(kept)))
    set_request_id("asked-1")
    try:
        with provider.get_tracer("tests").start_as_current_span("call") as span:
            telemetry._name_request(span)
            span.set_attribute("http.target", f"/x?any={CANARY}")
            raise ValueError(f"password={CANARY}")
    except ValueError:
        pass
    [sent] = kept.get_finished_spans()
    assert CANARY not in sent.to_json()
    assert sent.attributes["request_id"] == "asked-1"
    assert sent.status.is_ok is False
