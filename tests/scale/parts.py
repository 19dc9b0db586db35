"""The parts of the scale runs that need Django: loading, asking for pages, exporting, books."""

import json
import os
import resource
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tcmpay.settings")
django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.auth.models import Group  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402

from backoffice.exports.services import export_request, exports_run  # noqa: E402
from backoffice.models import ExportJob  # noqa: E402
from backoffice.today.services import day_totals_catch_up  # noqa: E402
from tcmpay.accounts.models import StaffUser  # noqa: E402
from tests.scale.__main__ import PAGES  # noqa: E402
from tests.scale.books import books_make  # noqa: E402

PERSON = "scale"
BATCH = 100_000
# A year of business: orders every few seconds, 80 % paid, one in twenty of those refunded.
ORDERS_SQL = """
INSERT INTO payment_orders
  (id, order_no, user_id, order_type, amount, currency, status, payment_method, payment_time,
   expire_time, description, created_at, updated_at, service_type, created_on, paid_on,
   booked_at)
SELECT
  CONCAT('0190', LPAD(HEX(n), 4, '0'), '-', LPAD(HEX(n DIV 65536), 4, '0'),
         '-7000-8000-', LPAD(HEX(n), 12, '0')),
  CONCAT('ORD', LPAD(n, 24, '0')),
  CONCAT('0190aaaa-0000-7000-8000-', LPAD(HEX(n MOD 50000), 12, '0')),
  'consultation', 10 + n MOD 90, 'CNY', IF(n MOD 5, 'paid', 'expired'),
  IF(n MOD 5, ELT(1 + n MOD 3, 'wechat', 'alipay', 'balance'), NULL),
  IF(n MOD 5, made, NULL), made + INTERVAL 2 HOUR, '图文咨询', made, made, '',
  DATE(made + INTERVAL 8 HOUR), IF(n MOD 5, DATE(made + INTERVAL 8 HOUR), NULL),
  IF(n MOD 5, made, NULL)
FROM (
  SELECT seq AS n,
    UTC_TIMESTAMP(6) - INTERVAL FLOOR((%(all)s - seq) * 31536000 / %(all)s) SECOND AS made
  FROM seq_%(first)s_to_%(last)s
) AS rows_to_make
"""
PAYMENTS_SQL = """
INSERT INTO payment_transactions
  (id, transaction_no, order_id, payment_method, transaction_type, amount, status,
   initiated_at, completed_at, booked_at, out_trade_no, scene, is_mock, disposition,
   applied_order_id)
SELECT CONCAT('0191', SUBSTR(id, 5)), CONCAT('TXN', SUBSTR(order_no, 4)), id, payment_method,
  'payment', amount, 'success', payment_time, payment_time, payment_time, order_no,
  '', 0, 'applied', id
FROM payment_orders
WHERE status = 'paid' AND order_no > 'ORD%(first)s' AND order_no <= 'ORD%(last)s'
"""
REFUNDS_SQL = """
INSERT INTO refund_records
  (id, refund_no, order_id, transaction_id, user_id, refund_amount, refund_reason, status,
   completed_at, completed_on, booked_at, created_at, updated_at, cause, approvals_needed)
SELECT CONCAT('0192', SUBSTR(o.id, 5)), CONCAT('RFD', SUBSTR(o.order_no, 4)), o.id,
  CONCAT('0191', SUBSTR(o.id, 5)), o.user_id, 1, '缺药', 'success', o.payment_time, o.paid_on,
  o.payment_time, o.payment_time, o.payment_time, 'requested', 0
FROM payment_orders o
WHERE o.status = 'paid' AND MOD(CAST(SUBSTR(o.order_no, 4) AS UNSIGNED), 20) = 1
  AND o.order_no > 'ORD%(first)s' AND o.order_no <= 'ORD%(last)s'
"""


def load(orders: str) -> dict[str, Any]:
    call_command("migrate", verbosity=0)
    number = int(orders)
    with connection.cursor() as cursor:
        for first in range(1, number + 1, BATCH):
            last = min(first + BATCH - 1, number)
            cursor.execute(ORDERS_SQL % {"all": number, "first": first, "last": last})
            bounds = {"first": f"{first - 1:024d}", "last": f"{last:024d}"}
            cursor.execute(PAYMENTS_SQL % bounds)
            cursor.execute(REFUNDS_SQL % bounds)
        cursor.execute("ANALYZE TABLE payment_orders, payment_transactions, refund_records")
    while day_totals_catch_up():
        pass
    person = StaffUser.objects.create_user(id=uuid.uuid4(), username=PERSON, is_staff=True)
    person.groups.set(Group.objects.filter(name="finance"))
    return {"orders": number}


def pages(rounds: str) -> dict[str, list[float]]:
    """Milliseconds of each page, as often as asked, after one look that warms up."""
    client = Client(headers={"host": "localhost"})
    client.force_login(StaffUser.objects.get(username=PERSON))
    cost: dict[str, list[float]] = {page: [] for page in PAGES}
    for number in range(int(rounds) + 1):
        for page, address in PAGES.items():
            started = time.perf_counter()
            answer = client.get(address)
            if answer.status_code != 200:
                raise SystemExit(f"{address}: {answer.status_code}")
            if number:
                cost[page].append((time.perf_counter() - started) * 1000)
    return cost


def export(file_format: str) -> dict[str, Any]:
    person = StaffUser.objects.get(username=PERSON)
    with tempfile.TemporaryDirectory() as folder:
        settings.EXPORT_DIR = folder
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.perf_counter()
        job = export_request(
            person=person,
            page="payments_paymentorder",
            query="",
            file_format=file_format,
            language="zh-hans",
        )
        exports_run()
        job = ExportJob.objects.get(pk=job.pk)
    # Kilobytes on Linux, bytes on macOS.
    unit = 1024 if sys.platform != "darwin" else 1024 * 1024
    return {
        "status": job.status,
        "error": job.error,
        "rows": job.rows_done,
        "megabytes": job.bytes_written / 1e6,
        "seconds": time.perf_counter() - started,
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit,
        "memory_before_mb": before / unit,
    }


def books(mix: str, copies: str) -> int:
    """Sound books for the audit; the number of their ledger entries."""
    call_command("migrate", verbosity=0)
    return books_make(mix, int(copies))


PARTS: dict[str, Callable[..., Any]] = {
    "load": load,
    "pages": pages,
    "export": export,
    "books": books,
}

if __name__ == "__main__":
    name, *given = sys.argv[1:]
    sys.stdout.write(json.dumps(PARTS[name](*given)) + "\n")
