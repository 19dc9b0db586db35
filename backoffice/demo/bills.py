"""The demo's last days at the stand-in gateways: payments that were really made there, and their
bills, of which yesterday's is not all true."""

import json
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings

from backoffice.demo.data import DEMO_PATIENTS, SERVICES, order_made, owner_of
from gateways.interface import ALIPAY, GATEWAY_METHODS, WECHAT
from payments.models import PaymentTransaction
from payments.services.attempts import PayCommand, attempt_check, pay
from reconciliation.merchants import merchant_running
from reconciliation.models import BillFile
from reconciliation.services.fetching import bills_fetch
from reconciliation.services.running import day_reconcile
from tcmpay.audit.models import ChainSeal
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM
from tcmpay.common.clock import ONE_DAY, SHANGHAI, day_start
from tcmpay.common.money import yuan_to_fen

DAYS = 3
PAYMENTS_A_DAY = 6
CONTROL_SECONDS = 10
MINUTE = timedelta(minutes=1)
# What yesterday's bills say wrongly: a fee, and one payment twice.
PLANTED = {WECHAT: "fee", ALIPAY: "duplicate"}


def seed_bills(stand_in: str) -> bool:
    """Business of the last days at the stand-in gateways (``stand_in`` is their address), with
    bills that were fetched and compared; False where the demo has some, or its past is sealed."""
    if BillFile.objects.exists() or ChainSeal.objects.exists():
        return False
    today = clock.today()
    days = [today - back * ONE_DAY for back in range(DAYS, 0, -1)]
    with _orders_stay_open():
        for day in days:
            for number in range(PAYMENTS_A_DAY):
                _paid(stand_in, day_start(day) + timedelta(hours=9 + number), number)
    for method, kind in PLANTED.items():
        _plant(stand_in, method, days[-1], kind)
    for day in days:
        for method in GATEWAY_METHODS:
            _compare(method, day)
    return True


@contextmanager
def _orders_stay_open() -> Iterator[None]:
    """Orders of the past, begun at a gateway whose clock is now's."""
    minutes = settings.ORDER_EXPIRE_MINUTES
    settings.ORDER_EXPIRE_MINUTES = (DAYS + 1) * 24 * 60
    try:
        yield
    finally:
        settings.ORDER_EXPIRE_MINUTES = minutes


def _paid(stand_in: str, at: datetime, number: int) -> None:
    patient = DEMO_PATIENTS[number % len(DEMO_PATIENTS)]
    method = GATEWAY_METHODS[number % len(GATEWAY_METHODS)]
    with clock.frozen(at):
        order = order_made(patient, SERVICES[number % len(SERVICES)])
        pay(actor=owner_of(order), command=PayCommand(order_id=order.id, payment_method=method))
    attempt = PaymentTransaction.objects.get(order=order)
    paid_at = (at + MINUTE).astimezone(SHANGHAI)
    payment = {
        "channel": method,
        "out_trade_no": attempt.out_trade_no,
        "amount_fen": yuan_to_fen(attempt.amount),
        "at": f"{paid_at:%Y-%m-%d %H:%M:%S}",
    }
    _control(stand_in, "book", {"payments": [payment]})
    # Its notice comes to the website, if that serves; the answer to a question is as good.
    with clock.frozen(at + 2 * MINUTE):
        attempt_check(attempt.id)


def _plant(stand_in: str, method: str, day: date, kind: str) -> None:
    wanted = {"channel": method, "day": day.isoformat(), "seed": 1, "counts": {kind: 1}}
    _control(stand_in, "bills/plant", wanted)


def _compare(method: str, day: date) -> None:
    merchant = merchant_running(method)
    if merchant is not None:
        bills_fetch(actor=SYSTEM, merchant=merchant, day=day)
        day_reconcile(actor=SYSTEM, merchant=merchant, day=day)


def _control(stand_in: str, name: str, fields: Mapping[str, Any]) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(
        f"{stand_in}/_control/{name}",
        data=json.dumps(fields).encode(),
        headers={"Content-Type": "application/json"},
    )
    with opener.open(request, timeout=CONTROL_SECONDS) as answer:
        answer.read()
