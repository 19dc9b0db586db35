"""What a request is made of can't fail: no page of the server's own, whatever the head says.

Through the application that gunicorn serves: the tests' client makes its requests itself.
"""

import importlib
import io
from wsgiref.util import setup_testing_defaults

import pytest

pytestmark = pytest.mark.django_db

CHARSETS = ("base64", "hex", "zlib", "rot13", "undefined", "idna", "utf-16", "unicode_escape",
            "nope", "gbk", "")  # fmt: skip
TYPES = (
    *(f"x/y; charset={name}" for name in CHARSETS),
    *(f"application/json; charset={name}" for name in CHARSETS),
    *(f"multipart/form-data; boundary=x; charset={name}" for name in CHARSETS),
    "application/json; charset*=nope''utf-8",
    "multipart/form-data; boundary*=nope''x",
    "x/y; a*=base64''%ff",
    "x/y; charset*0=ba; charset*1=se64",
    ";;;",
    "x/y; \xff=\xff",
)
JSON = ("application/json",)
PAGE = ("text/html",)
PLAIN = ("text/plain", *JSON)
ASKED = [
    ("GET", "/health/live", "x=1", {200}, JSON),
    ("GET", "/api/v1/payment/orders", "page=1&a=%ff", {401}, JSON),
    ("POST", "/api/v1/payment/orders", "page=1", {401, 415}, JSON),
    ("POST", "/payment/callback", "method=wechat", {400, 401, 404, 503}, JSON),
    ("POST", "/payment/callback", "method=alipay", {200, 400, 401, 404, 503}, PLAIN),
    ("GET", "/pay/x", "lang=en", {404, 410}, PAGE),
    ("POST", "/pay/x/start", "lang=en", {400, 403, 404, 410}, PAGE + JSON),
    ("GET", "/admin/login/", "next=1", {200}, PAGE),
    ("POST", "/admin/login/", "next=1", {400, 403}, PAGE + JSON),
]  # fmt: skip


def asked(method: str, path: str, query: str, **head: str) -> tuple[int, dict[str, str], bytes]:
    application = importlib.import_module("tcmpay.wsgi").application
    body = b"--x--\r\n" if method == "POST" else b""
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "https",
        "HTTP_HOST": "testserver",
        **head,
    }
    setup_testing_defaults(environ)
    begun = []
    answer = application(environ, lambda status, headers, *_: begun.append((status, headers)))
    text = b"".join(answer)
    ((status, headers),) = begun
    return int(status[:3]), {name.lower(): value for name, value in headers}, text


@pytest.mark.parametrize(
    ("method", "path", "query", "statuses", "kinds"),
    ASKED,
    ids=[f"{method} {path}?{query}" for method, path, query, *_ in ASKED],
)
def test_a_content_type_can_not_end_a_request_before_we_see_it(
    method, path, query, statuses, kinds, settings
):
    settings.ALLOWED_HOSTS = ["*"]
    for content_type in TYPES:
        status, headers, text = asked(method, path, query, CONTENT_TYPE=content_type)
        assert status in statuses, (content_type, status, text)
        assert headers["content-type"].partition(";")[0] in kinds, content_type
        assert headers["x-content-type-options"] == "nosniff", content_type


def test_a_charset_of_ours_is_read_and_others_count_as_not_named():
    from tcmpay.common.plain_request import PlainRequest

    for charset, expected in [
        ("gbk", "\u4e2d"),
        ("utf-8", "\ufffd\ufffd"),
        ("hex", "\ufffd\ufffd"),
    ]:
        environ = {"QUERY_STRING": "a=%D6%D0", "CONTENT_TYPE": f"x/y; charset={charset}"}
        setup_testing_defaults(environ)
        assert PlainRequest(environ).GET["a"] == expected
