"""What is measured: each cell makes one operation, to be repeated.

A cell is made in a process of its own whose environment names the database (``DATABASE_URL``) and
the books (``benchmarks.books``). It gives the function that does the operation once more, told the
how manieth it is, and counts its statements where it can.
"""

import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

Operation = Callable[[], None]


def guarded() -> Operation:
    """The floor: one payment as raw guarded SQL, four statements and COMMIT."""
    return _raw(hot=False)


def guarded_hot() -> Operation:
    return _raw(hot=True)


def _raw(*, hot: bool) -> Operation:
    import MySQLdb

    parts = urlsplit(os.environ["DATABASE_URL"])
    database = MySQLdb.connect(
        host=parts.hostname, port=parts.port, user=parts.username, passwd=parts.password,
        db="floor", autocommit=False,
    )  # fmt: skip
    cursor = database.cursor()
    cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
    worker, workers = int(os.environ["BENCH_WORKER"]), int(os.environ["BENCH_WORKERS"])
    cursor.execute(
        "SELECT id, user_id FROM orders WHERE status = 0 AND id DIV 2 MOD %s = %s"
        + (" AND user_id = 1" if hot else ""),
        (workers, worker),
    )
    waiting = list(cursor.fetchall())
    database.commit()

    def pay() -> None:
        order, user = waiting.pop()
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
        database.commit()

    return pay


# --- the product ----------------------------------------------------------------------------------


def _payers(*, hot: bool) -> list[tuple[UUID, UUID]]:
    """Orders that this process may pay, with their owners."""
    from payments.models import PaymentOrder

    worker, workers = int(os.environ["BENCH_WORKER"]), int(os.environ["BENCH_WORKERS"])
    waiting = PaymentOrder.objects.filter(status="pending").order_by("user_id", "id")
    users = list(waiting.values_list("user_id", flat=True).distinct())
    mine = users[:1] if hot else users[1:][worker::workers]
    orders = list(waiting.filter(user_id__in=mine).values_list("id", "user_id")[:20_000])
    return orders[worker::workers] if hot else orders


def pay() -> Operation:
    """A payment from the balance by the service, with ledger and trail."""
    return _service_pay(hot=False)


def pay_hot() -> Operation:
    return _service_pay(hot=True)


def _service_pay(*, hot: bool) -> Operation:
    _product()
    from payments.services.attempts import PayCommand
    from payments.services.attempts import pay as service
    from tcmpay.common.actor import Actor, Role

    waiting = _payers(hot=hot)

    def pay_one() -> None:
        order, user = waiting.pop()
        command = PayCommand(order_id=order, payment_method="balance")
        service(actor=Actor(user, Role.PATIENT), command=command)

    return pay_one


def http_pay() -> Operation:
    """The same over HTTP, once the bytes have been read from the network."""
    ask = _http()
    waiting = _payers(hot=False)
    tokens: dict[UUID, str] = {}

    def pay_one() -> None:
        order, user = waiting.pop()
        token = tokens.get(user) or tokens.setdefault(user, _token(user))
        body = json.dumps({"order_id": str(order), "payment_method": "balance"})
        ask("POST", "/api/v1/payment/pay", token, body.encode())

    return pay_one


def http_order() -> Operation:
    """One order, read by its owner."""
    ask = _http()
    order, user = _payers(hot=True)[0]
    token = _token(user)
    return lambda: ask("GET", f"/api/v1/payment/orders/{order}", token)


def http_list() -> Operation:
    """The first twenty orders of somebody."""
    ask = _http()
    _order, user = _payers(hot=False)[0]
    token = _token(user)
    return lambda: ask("GET", "/api/v1/payment/orders?page_size=20", token)


def http_live() -> Operation:
    ask = _http()
    return lambda: ask("GET", "/health/live", "")


def statistics() -> Operation:
    """A month's figures of everybody."""
    ask = _http()
    token = _token(UUID(int=1), role="admin")
    from datetime import timedelta

    from tcmpay.common.clock import today

    period = f"start_date={today() - timedelta(days=30)}&end_date={today()}"
    return lambda: ask("GET", f"/api/v1/payment/statistics?{period}", token)


def _product() -> None:
    import django

    django.setup()


def _token(user: UUID, role: str = "patient") -> str:
    from django.core.management import call_command

    out = io.StringIO()
    call_command("issue_token", user=str(user), role=role, ttl_seconds=86_400, stdout=out)
    return out.getvalue().strip()


def _http() -> Callable[..., None]:
    from tcmpay.wsgi import application

    return _asking(application)


def _asking(application: Any) -> Callable[..., None]:
    def ask(method: str, address: str, token: str, body: bytes = b"") -> None:
        path, _mark, query = address.partition("?")
        environ = {
            "REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query,
            "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "80", "HTTP_HOST": "127.0.0.1",
            "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(body)),
            "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr, "wsgi.multithread": False, "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }  # fmt: skip
        if token:
            environ["HTTP_AUTHORIZATION"] = f"Bearer {token}"
        statuses: list[str] = []
        answer = application(environ, lambda status, *more: statuses.append(status))
        content = b"".join(answer)
        if hasattr(answer, "close"):
            answer.close()
        if not statuses[0].startswith("2"):
            raise RuntimeError(f"{method} {address}: {statuses[0]} {content[:200]!r}")

    return ask


# --- what others need for it ---------------------------------------------------------------------


def drf_jwt() -> Operation:
    """A view of Django REST framework behind a token, and nothing more."""
    return _drf(is_user_read=False)


def drf_user() -> Operation:
    """The same with the user's row read, as most do."""
    return _drf(is_user_read=True)


def _drf(*, is_user_read: bool) -> Operation:
    import django
    import jwt
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
    user, _is_new = User.objects.get_or_create(username="somebody")
    key = "of-a-benchmark-of-thirty-two-bytes-or-more"

    class Tokens(BaseAuthentication):
        def authenticate(self, request: Any) -> Any:
            header = request.META["HTTP_AUTHORIZATION"]
            claims = jwt.decode(header.removeprefix("Bearer "), key, algorithms=["HS256"])
            found = User.objects.get(pk=claims["sub"]) if is_user_read else User(pk=claims["sub"])
            return found, claims

    class View(APIView):
        authentication_classes = (Tokens,)
        permission_classes = (IsAuthenticated,)

        def get(self, request: Any) -> Response:
            return Response({"id": request.user.pk})

    sys.modules[__name__].urlpatterns = [path("", View.as_view())]  # type: ignore[attr-defined]
    ask = _asking(get_wsgi_application())
    token = jwt.encode({"sub": str(user.pk)}, key, algorithm="HS256")
    return lambda: ask("GET", "/", token)


CELLS = {
    cell.__name__: cell
    for cell in (
        guarded, guarded_hot, pay, pay_hot, http_pay, http_order, http_list, http_live, statistics,
        drf_jwt, drf_user,
    )
}  # fmt: skip


@contextmanager
def statements_counted() -> Iterator[list[str]]:
    """The statements of the product's connection meanwhile; nothing for raw ones."""
    from django.conf import settings

    texts: list[str] = []
    if not settings.configured:
        yield texts
        return
    from django.db import connection

    def keep(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        texts.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(keep):
        yield texts
