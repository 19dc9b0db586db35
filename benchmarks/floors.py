"""What an answer can't cost less than: applications that gunicorn serves beside the product.

``FLOOR_APPLICATION`` says which of them this process is.
"""

import os
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

import jwt
import orjson

KEY = "of-a-benchmark-of-thirty-two-bytes-or-more"
StartResponse = Callable[[str, list[tuple[str, str]]], Any]


def raw_connection() -> Any:
    import MySQLdb

    parts = urlsplit(os.environ["DATABASE_URL"])
    database = MySQLdb.connect(
        host=parts.hostname, port=parts.port, user=parts.username, passwd=parts.password,
        db="floor", autocommit=False,
    )  # fmt: skip
    database.cursor().execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
    return database


def guarded_payment(cursor: Any, order: int, user: int) -> None:
    """Four statements, each guarded by its condition."""
    cursor.execute(
        "UPDATE orders SET status = 1, paid_at = NOW(6) WHERE id = %s AND status = 0", (order,)
    )
    cursor.execute(
        "INSERT INTO payments (order_id, amount, status, created_at)"
        " SELECT id, amount, 1, NOW(6) FROM orders WHERE id = %s",
        (order,),
    )
    cursor.execute(
        "UPDATE balances SET balance = balance - 0.01, version = version + 1"
        " WHERE user_id = %s AND balance >= 0.01",
        (user,),
    )
    assert cursor.rowcount == 1
    cursor.execute(
        "INSERT INTO entries (user_id, order_id, amount, balance_after, created_at)"
        " SELECT user_id, %s, 0.01, balance, NOW(6) FROM balances WHERE user_id = %s",
        (order, user),
    )


def classic_payment(cursor: Any, order: int, user: int) -> None:
    """As most write it: both rows locked and read, then written."""
    cursor.execute("SELECT amount, status FROM orders WHERE id = %s FOR UPDATE", (order,))
    amount, status = cursor.fetchone()
    assert status == 0
    cursor.execute("SELECT balance FROM balances WHERE user_id = %s FOR UPDATE", (user,))
    (balance,) = cursor.fetchone()
    assert balance >= amount
    cursor.execute(
        "UPDATE balances SET balance = %s, version = version + 1 WHERE user_id = %s",
        (balance - amount, user),
    )
    cursor.execute(
        "INSERT INTO entries (user_id, order_id, amount, balance_after, created_at)"
        " VALUES (%s, %s, %s, %s, NOW(6))",
        (user, order, amount, balance - amount),
    )
    cursor.execute(
        "INSERT INTO payments (order_id, amount, status, created_at) VALUES (%s, %s, 1, NOW(6))",
        (order, amount),
    )
    cursor.execute("UPDATE orders SET status = 1, paid_at = NOW(6) WHERE id = %s", (order,))


def raw_pay() -> Callable[[dict[str, Any], StartResponse], Iterable[bytes]]:
    """A token looked at, JSON read, a guarded payment, JSON written: no framework."""
    kept: dict[str, Any] = {}

    def application(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        jwt.decode(environ["HTTP_AUTHORIZATION"].removeprefix("Bearer "), KEY, algorithms=["HS256"])
        if not kept:
            kept["database"] = raw_connection()
        body = orjson.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        guarded_payment(kept["database"].cursor(), body["order"], body["user"])
        kept["database"].commit()
        answer = orjson.dumps({"success": True, "data": {"order": body["order"]}})
        length = ("Content-Length", str(len(answer)))
        start_response("200 OK", [("Content-Type", "application/json"), length])
        return [answer]

    return application


def drf_jwt() -> Any:
    """A view of Django REST framework behind a token, and nothing more."""
    return _drf(is_user_read=False)


def drf_user() -> Any:
    """The same with the user's row read, as most do."""
    return _drf(is_user_read=True)


def _drf(*, is_user_read: bool) -> Any:
    import sys

    import django
    from django.conf import settings

    parts = urlsplit(os.environ["DATABASE_URL"])
    settings.configure(
        SECRET_KEY="of-a-benchmark", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, DEBUG=False,
        USE_TZ=True, INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
        MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
        DATABASES={"default": {
            "ENGINE": "django.db.backends.mysql", "NAME": "floor", "HOST": parts.hostname,
            "PORT": parts.port, "USER": parts.username, "PASSWORD": parts.password,
            "CONN_MAX_AGE": 600, "CONN_HEALTH_CHECKS": True,
        }},
        REST_FRAMEWORK={"DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"]},
    )  # fmt: skip
    django.setup()
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.core.wsgi import get_wsgi_application
    from django.urls import path
    from rest_framework.authentication import BaseAuthentication
    from rest_framework.permissions import IsAuthenticated
    from rest_framework.response import Response
    from rest_framework.views import APIView

    call_command("migrate", verbosity=0)
    User.objects.get_or_create(pk=1, username="somebody")

    class Tokens(BaseAuthentication):
        def authenticate(self, request: Any) -> Any:
            header = request.META["HTTP_AUTHORIZATION"]
            claims = jwt.decode(header.removeprefix("Bearer "), KEY, algorithms=["HS256"])
            found = User.objects.get(pk=claims["sub"]) if is_user_read else User(pk=claims["sub"])
            return found, claims

    class View(APIView):
        authentication_classes = (Tokens,)
        permission_classes = (IsAuthenticated,)

        def get(self, request: Any) -> Response:
            return Response({"id": request.user.pk})

    sys.modules[__name__].urlpatterns = [path("", View.as_view())]  # type: ignore[attr-defined]
    return get_wsgi_application()


def token() -> str:
    return jwt.encode({"sub": "1"}, KEY, algorithm="HS256")


if name := os.environ.get("FLOOR_APPLICATION"):
    application = {"raw_pay": raw_pay, "drf_jwt": drf_jwt, "drf_user": drf_user}[name]()
