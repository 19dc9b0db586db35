"""The shape of every answer, and every code with more than one cause (CONTRACT section 1).

That each answer has exactly the contract's keys is checked by ``Api.call`` itself, so here
a refusal's code is enough.
"""

import json
import re
import uuid
from base64 import urlsafe_b64encode

import pytest
from django.conf import settings as django_settings
from django.db import InterfaceError, OperationalError, connection

from tests.api.kit import ensure_envelope

ISO_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
UNKNOWN_ID = "00000000-0000-7000-8000-000000000000"


class DatabaseThat:
    """Every statement fails with ``error``, as when the server is gone."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __call__(self, execute, sql, params, many, context):
        raise self.error


def test_it_answers_a_success_with_message_and_data(api, patient):
    answer = api.get("orders", by=patient)
    assert answer.status == 200
    assert answer.body == {
        "success": True,
        "message": "获取订单列表成功",
        "data": {"orders": [], "total": 0, "page": 1, "page_size": 20},
    }


def test_it_answers_a_creation_with_201(api, patient):
    body = {"user_id": patient.name, "order_type": "other", "amount": "1.00"}
    assert api.post("orders", body, by=patient).status == 201


def test_it_answers_a_refusal_with_code_and_request_id_but_without_errors(api, patient):
    answer = api.get(f"orders/{UNKNOWN_ID}", by=patient)
    assert answer.body == {
        "success": False,
        "message": "订单不存在",
        "code": "NOT_FOUND",
        "request_id": answer.headers["X-Request-ID"],
    }


def test_it_names_the_fields_of_a_validation_error(api, patient):
    answer = api.post("orders", {"user_id": patient.name, "amount": "1.00"}, by=patient)
    answer.invalid("order_type")
    assert all(isinstance(text, str) for text in answer.errors["order_type"])


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    "path",
    [
        "/api",
        "/api/",
        "/api/v1/",
        "/api/v2/payment/orders",
        "/api/v1/payment",
        "/api/v1/payment/",
        "/api/v1/payment/nothing",
        "/api/v1/payment/orders/",
        "/api/v1/payment/orders/a/b/c",
        "/payment",
        "/payment/nothing",
        "/payment/callback/wechat/more",
        "/health/",
        "/health/dead",
    ],
)
def test_an_unknown_path_is_404(api, method, path):
    api.call(method, path, headers={"Accept": "text/html"}).refused(404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "orders"),
        ("DELETE", "orders"),
        ("PATCH", "orders"),
        ("OPTIONS", "orders"),
        ("TRACE", "orders"),
        ("POST", f"orders/{UNKNOWN_ID}"),
        ("DELETE", f"orders/{UNKNOWN_ID}"),
        ("POST", f"orders/{UNKNOWN_ID}/cancel"),
        ("GET", f"orders/{UNKNOWN_ID}/sync"),
        ("GET", "pay"),
        ("PUT", "refunds"),
        ("DELETE", f"refunds/{UNKNOWN_ID}"),
        ("POST", f"refunds/{UNKNOWN_ID}/withdraw"),
        ("POST", f"admin/refunds/{UNKNOWN_ID}/review"),
        ("POST", f"balance/{UNKNOWN_ID}"),
        ("POST", f"balance/{UNKNOWN_ID}/transactions"),
        ("POST", "prices"),
        ("PUT", "prices/consultation"),
        ("GET", "admin/prices/consultation"),
        ("POST", "statistics"),
        ("DELETE", "admin/config/wechat"),
        ("GET", "/payment/callback?method=alipay"),
        ("PUT", "/payment/callback/wechat"),
        ("OPTIONS", "/payment/callback/wechat"),
        ("POST", "/health/live"),
        ("OPTIONS", "/health/live"),
        ("DELETE", "/health/ready"),
    ],
)
def test_a_wrong_method_is_405(api, admin, method, path):
    api.call(method, path, by=admin).refused(405, "METHOD_NOT_ALLOWED")


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"",
        b"null",
        b"[]",
        b"3",
        b'"text"',
        b"{'user_id': 1}",
        b'{"a": 1}trailing',
        b"\xff\xfe{\x00}\x00",
        '{"user_id": "é"}'.encode("latin-1"),
        b'\xef\xbb\xbf{"user_id": "1"}',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": 1e999}',
        b'{"a": "\\u0000"}',
        b'{"a": "\\ud800"}',
        b'{"order_type": "other", "order_type": "other"}',
        b"[" * 30_000,
        b'{"a":' * 10_000,
        b"9" * 50_000,
    ],
    ids=lambda content: repr(content[:24]),
)
def test_an_unreadable_body_is_400(api, patient, content):
    api.post("orders", content=content, by=patient).invalid()


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
        "application/xml",
        "text/json",
        "application/jsonp",
        "nonsense",
    ],
)
def test_another_content_type_is_415(api, patient, content_type):
    body = json.dumps({"user_id": patient.name, "order_type": "other", "amount": "1.00"})
    answer = api.post("orders", content=body, content_type=content_type, by=patient)
    answer.refused(415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8"])
def test_json_is_taken(api, patient, content_type):
    body = json.dumps({"user_id": patient.name, "order_type": "other", "amount": "1.00"})
    api.post("orders", content=body, content_type=content_type, by=patient).created()


def filled_to(size: int, patient) -> bytes:
    body = json.dumps({"user_id": patient.name, "order_type": "other", "amount": "1.00"}).encode()
    return body + b" " * (size - len(body))


def test_a_body_at_the_bound_is_read(api, patient):
    content = filled_to(django_settings.API_BODY_MAX_BYTES, patient)
    api.post("orders", content=content, by=patient).created()


@pytest.mark.parametrize("path", ["orders", "/payment/callback?method=alipay", "nothing"])
def test_a_body_past_the_bound_is_413(api, patient, path):
    content = filled_to(django_settings.API_BODY_MAX_BYTES + 1, patient)
    api.post(path, content=content, by=patient).refused(413, "BODY_TOO_LARGE")


def test_an_answer_that_is_not_json_is_not_on_offer(api, patient):
    answer = api.get("orders", by=patient, headers={"Accept": "text/html"})
    answer.refused(406, "NOT_ACCEPTABLE")


# --- the request id ---------------------------------------------------------------------------


@pytest.mark.parametrize("request_id", ["abc", "A-b_c.9", str(uuid.UUID(int=7)), "x" * 64])
def test_it_echoes_a_sane_request_id(api, request_id):
    answer = api.get("nothing", headers={"X-Request-ID": request_id})
    assert answer.headers["X-Request-ID"] == request_id
    assert answer.body["request_id"] == request_id


@pytest.mark.parametrize(
    "request_id", ["", " ", "x" * 65, "a b", "a\nb", "<script>", "\u7f16\u53f7", "a;b", "a/b"]
)
def test_it_replaces_any_other_request_id(api, request_id):
    answer = api.get("nothing", headers={"X-Request-ID": request_id})
    fresh = answer.headers["X-Request-ID"]
    assert re.fullmatch(r"[0-9a-f]{32}", fresh)
    assert answer.body["request_id"] == fresh


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "orders"),
        ("GET", "prices"),
        ("GET", "/health/live"),
        ("POST", "/payment/callback?method=alipay"),
        ("POST", "/payment/callback/wechat"),
    ],
)
def test_every_answer_carries_a_request_id(api, patient, method, path):
    first = api.raw(method, path, by=patient)["X-Request-ID"]
    second = api.raw(method, path, by=patient)["X-Request-ID"]
    assert first != second


# --- what goes wrong inside -------------------------------------------------------------------


@pytest.mark.parametrize("debug", [True, False])
def test_an_unexpected_error_is_500_and_tells_nothing(api, patient, settings, debug):
    settings.DEBUG = debug
    with connection.execute_wrapper(DatabaseThat(RuntimeError("SELECT secret FROM somewhere"))):
        response = api.raw("GET", "orders", by=patient, headers={"Accept": "*/*"})
    body = ensure_envelope(response)
    assert (response.status_code, body["code"]) == (500, "INTERNAL_ERROR")
    for leak in ("SELECT", "secret", "RuntimeError", "Traceback", ".py"):
        assert leak not in response.content.decode()


@pytest.mark.parametrize("debug", [True, False])
def test_an_unexpected_error_before_the_view_is_500_too(api, settings, monkeypatch, debug):
    settings.DEBUG = debug
    monkeypatch.setattr("payments.callbacks.GATEWAY_METHODS", None)
    response = api.raw("POST", "/payment/callback/alipay", headers={"Accept": "text/html"})
    assert response.status_code == 500
    assert ensure_envelope(response)["code"] == "INTERNAL_ERROR"


@pytest.mark.parametrize(
    "error",
    [
        OperationalError(2006, "gone away"),
        OperationalError(1290, "--read-only"),
        OperationalError(1836, "read-only mode"),
        OperationalError(1047, "WSREP has not yet prepared node for application use"),
        InterfaceError("closed"),
    ],
    ids=lambda error: str(error.args[0]),
)
def test_a_database_that_does_not_answer_is_503(api, patient, error):
    with connection.execute_wrapper(DatabaseThat(error)):
        answer = api.get("orders", by=patient)
    answer.refused(503, "SERVICE_UNAVAILABLE")
    assert int(answer.headers["Retry-After"]) > 0
    assert "gone away" not in json.dumps(answer.body)


def test_readiness_is_503_without_a_database_and_liveness_is_not(api):
    with connection.execute_wrapper(DatabaseThat(OperationalError(2006, "gone away"))):
        api.get("/health/ready").refused(503, "SERVICE_UNAVAILABLE")
        assert api.get("/health/live").accepted()["status"] == "live"
    assert api.get("/health/ready").accepted() == {"status": "ready"}


@pytest.mark.parametrize("debug", [True, False])
def test_a_host_that_we_do_not_serve_is_400_in_the_same_shape(api, settings, debug):
    settings.DEBUG, settings.ALLOWED_HOSTS = debug, ["pay.tcm.test"]
    answer = api.get("nothing", headers={"Host": "evil.test"})
    assert answer.status in (400, 404)


# --- language, times, ids, pages --------------------------------------------------------------


@pytest.mark.parametrize("language", ["zh-hans", "en", "fr", "*", "en;q=bad", "x" * 2000])
def test_the_code_does_not_change_with_the_language(api, patient, language):
    headers = {"Accept-Language": language}
    api.get(f"orders/{UNKNOWN_ID}", by=patient, headers=headers).refused(404, "NOT_FOUND")
    api.get("orders", headers=headers).refused(401, "UNAUTHENTICATED")


def test_messages_are_chinese_by_default(api):
    assert api.get("orders").message == "未授权"


def test_times_end_with_z_and_ids_are_uuids(story, rich_patient, admin):
    order = story.paid_from_balance(rich_patient)
    refund = story.refund(order, rich_patient)
    story.review(refund, admin)
    rows = [
        story.reread(order, rich_patient),
        story.refund_now(refund, rich_patient),
        story.balance(rich_patient),
        *story.entries(rich_patient),
    ]
    for row in rows:
        for name, value in row.items():
            if value is not None and name.endswith(("_at", "_time")):
                assert ISO_UTC.fullmatch(value), (name, value)
            if value is not None and (name == "id" or name.endswith(("_id", "_by"))):
                assert str(uuid.UUID(value)) == value, (name, value)


JUNK_IDS = [
    "1",
    "null",
    "test-user-uuid",
    "%00",
    "%ff",
    "..%2f..%2fadmin",
    "' OR 1=1--",
    "%E7%BC%96%E5%8F%B7",
    "x" * 36,
    "x" * 3000,
    # 36 characters that Python's UUID would read, but no UUID is written so:
    "0192f0c12345-7abc-8def-0123456789ab-",
    "{0192f0c123457abc8def0123456789ab}--",
    "+192f0c1-2345-7abc-8def-0123456789ab",
    "0_92f0c1-2345-7abc-8def-0123456789ab",
    "\uff10192f0c1-2345-7abc-8def-0123456789ab",
]


@pytest.mark.parametrize("junk", JUNK_IDS)
@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("GET", "orders/{}", "订单不存在"),
        ("PUT", "orders/{}/cancel", "订单不存在"),
        ("POST", "orders/{}/sync", "订单不存在"),
        ("GET", "refunds/{}", "退款记录不存在"),
        ("PUT", "refunds/{}/withdraw", "退款记录不存在"),
        ("PUT", "admin/refunds/{}/review", "退款记录不存在"),
        ("GET", "balance/{}", "资源不存在"),
        ("GET", "balance/{}/transactions", "资源不存在"),
    ],
)
def test_junk_in_place_of_an_id_is_an_object_that_does_not_exist(
    api, admin, method, path, message, junk
):
    answer = api.call(method, path.format(junk), by=admin, body={"approved": True})
    answer.refused(404, "NOT_FOUND")
    # A slash that the server decodes makes it another, unknown, address.
    assert answer.message in {message, "资源不存在"}


@pytest.mark.parametrize("junk", [*JUNK_IDS[8:], 1, True, None, [], {}, ""])
def test_junk_in_place_of_an_id_in_a_body_is_400(api, patient, junk):
    body = {"user_id": junk, "order_type": "other", "amount": "1.00"}
    api.post("orders", body, by=patient).invalid("user_id")


ID = "0192f0c1-7a3e-7abc-8def-0123456789ab"


def cursor_of(moment: str, key: str = ID) -> str:
    return urlsafe_b64encode(f"{moment} {key}".encode()).decode()


def test_a_cursor_of_any_moment_is_taken(api, patient):
    for year in ("0001", "2026", "9999"):
        cursor = cursor_of(f"{year}-12-31T23:59:59.999999+00:00")
        api.get(f"orders?cursor={cursor}", by=patient).accepted()


LISTS = ["orders", "refunds", "balance/{user}/transactions", "prices"]


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    "query", ["page=1&page_size=1", "page=1&page_size=100", "page=1000000", "page_size=20", ""]
)
def test_a_list_takes_a_page_within_its_bounds(api, patient, path, query):
    api.get(f"{path.format(user=patient.name)}?{query}", by=patient).accepted()


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("page", "0"),
        ("page", "-1"),
        ("page", "1.5"),
        ("page", "1.0"),
        ("page", "1e1"),
        ("page", "one"),
        ("page", ""),
        ("page", "1_0"),
        ("page", "%EF%BC%91"),  # a full-width one
        ("page", "%20"),
        ("page", "1%00"),
        ("page", "9" * 30),
        ("page", "9" * 2000),
        ("page_size", "0"),
        ("page_size", "101"),
        ("page_size", "-5"),
        ("page_size", "all"),
        ("page_size", "1&page_size=2"),
    ],
)
def test_a_list_refuses_a_page_out_of_bounds(api, patient, path, field, value):
    api.get(f"{path.format(user=patient.name)}?{field}={value}", by=patient).invalid(field)


@pytest.mark.parametrize(
    "query",
    [
        "nothing=1",
        "_connector=OR",
        "user_id__in=1",
        "status__ne=paid",
        "user_id=1",
        "user_id=",
        "status=unknown",
        "status=",
        "order_type=unknown",
        "appointment_id=1",
        "start_date=2026-13-01",
        "start_date=2026-02-30",
        "start_date=yesterday",
        "start_date=20261124",
        "start_date=2026-W48-2",
        "start_date=0000-00-00",
        "end_date=2026-11-24T10:00:00",
        "end_date=9999-12-31",
        "start_date=0001-01-01",
        "start_date=2026-11-25&end_date=2026-11-24",
        "start_date=2026-11-24&start_date=2026-11-24",
        "status=paid&status=paid",
        "status=%00",
        "status=%ff",
        "status=paid,",
        "status=paid,unknown",
        "status=" + ",".join(["paid"] * 101),
        "payment_method=cash",
        "order_no=",
        "order_no=" + "1" * 29,
        "ids=",
        "ids=1",
        f"ids={ID},",
        "ids=" + ",".join([ID] * 101),
        "updated_since=yesterday",
        "updated_since=2026-11-24T10:00:00",
        "cursor=x",
        "cursor=" + "A" * 92,
        "cursor=%00",
        "cursor=&page=1",
        f"cursor={cursor_of('2026-13-24T10:00:00.000000+00:00')}",
        f"cursor={cursor_of('2026-11-24T10:00:00.000000+14:00')}",
        f"cursor={cursor_of('2026-11-24T10:00:00.000000+00:00', 'x' * 37)}",
    ],
)
def test_a_list_refuses_a_query_that_it_does_not_understand(api, admin, query):
    api.get(f"orders?{query}", by=admin).invalid()
