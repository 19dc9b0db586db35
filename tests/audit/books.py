"""Sound books to break by SQL, and the audit of them."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from io import StringIO

from django.core.management import call_command
from django.db import connection

from balances.invariants import LEDGER
from balances.services import balance_freeze, balance_top_up
from gateways.interface import CallbackNotice, CallbackRequest, TradeReport, TradeState
from payments.models import PaymentCallback, PaymentOrder, PaymentTransaction
from payments.services.attempts import PayCommand, pay
from payments.services.callbacks import Incoming, callback_handle
from payments.services.orders import OrderCommand, order_create
from refunds.models import Refund
from refunds.services.requests import refund_request, refund_review
from tcmpay.audit.invariants import TRAIL
from tcmpay.audit.macs import row_mac
from tcmpay.audit.seals import chain_seal
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM, Actor, Role
from tcmpay.limits.models import IdempotencyKey
from tcmpay.limits.services import MAC_KIND, answer_facts


@dataclass(frozen=True)
class World:
    """One user's sound books: topped up, paid by balance, partly refunded, paid by WeChat."""

    user_id: uuid.UUID
    by_balance: PaymentOrder
    by_wechat: PaymentOrder
    refund: Refund
    open_refund: Refund
    callback: PaymentCallback
    key: IdempotencyKey


def sound_books() -> World:
    user_id = uuid.uuid4()
    owner, admin = Actor(user_id, Role.PATIENT), Actor(uuid.uuid4(), Role.ADMIN)
    balance_top_up(user_id=user_id, amount=Decimal("100.00"), reason="开户", actor=SYSTEM)
    balance_freeze(user_id=user_id, amount=Decimal("7.00"), reason="核对", actor=SYSTEM)
    by_balance = paid_order(owner, "balance")
    by_wechat = paid_order(owner, "wechat")
    refund = refund_request(
        actor=owner, order_id=by_balance.id, amount=Decimal("10.00"), reason="部分退款"
    )
    refund_review(actor=admin, refund_id=refund.id, is_approved=True, notes="同意")
    open_refund = refund_request(
        actor=owner, order_id=by_wechat.id, amount=Decimal("5.00"), reason="待审核"
    )
    callback = PaymentCallback.objects.get(transaction__order=by_wechat)
    key = answered_key(owner)
    return World(user_id, by_balance, by_wechat, refund, open_refund, callback, key)


def ordered(owner: Actor, key_id: uuid.UUID | None = None) -> PaymentOrder:
    command = OrderCommand(user_id=owner.id, order_type="consultation", amount=Decimal("30.00"))
    return order_create(actor=owner, command=command, idempotency_key_id=key_id)


def paid_order(owner: Actor, method: str) -> PaymentOrder:
    order = ordered(owner)
    pay(actor=owner, command=PayCommand(order_id=order.id, payment_method=method))
    if method != "balance":
        gateway_tells(order)
    return order


def gateway_tells(
    order: PaymentOrder, *, number: str = "", amount: str = "30.00", event: str = "mock"
) -> PaymentCallback:
    """A verified message that the order's attempt was paid."""
    attempt = PaymentTransaction.objects.get(order=order, transaction_type="payment")
    report = TradeReport(
        number or attempt.out_trade_no,
        TradeState.PAID,
        f"T{attempt.transaction_no}",
        Decimal(amount),
        paid_at=clock.now(),
    )
    request = CallbackRequest({}, b"{}", "application/json", clock.now())
    return callback_handle(
        incoming=Incoming(attempt.payment_method, request),
        notice=CallbackNotice("", event, trade=report),
        is_mock=True,
    )


def answered_key(owner: Actor) -> IdempotencyKey:
    """A key whose order was made and answered."""
    key = IdempotencyKey(caller_id=owner.id, key_hash=uuid.uuid4().hex, fingerprint="f")
    order = ordered(owner, key.id)
    key.claimed_at = key.completed_at = clock.now()
    key.response_status = 201
    key.response_body = {"data": {"id": str(order.id), "order_no": order.order_no}}
    key.mac = row_mac(MAC_KIND, key.id, answer_facts(key))
    key.save(force_insert=True)
    return key


@contextmanager
def unchecked() -> Iterator[None]:
    """As an intruder with the database's root would write: without its CHECKs."""
    off, on = {
        "sqlite": ("PRAGMA ignore_check_constraints = ON", "PRAGMA ignore_check_constraints = OFF"),
        "mysql": ("SET check_constraint_checks = 0", "SET check_constraint_checks = 1"),
    }[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(off)
        try:
            yield
        finally:
            cursor.execute(on)


def sql(statement: str, *values: object) -> None:
    with unchecked(), connection.cursor() as cursor:
        cursor.execute(statement, [str(value) for value in values])
        assert cursor.rowcount >= 1, "the break must break something"


def audit(*options: str) -> tuple[int, list[dict[str, str]]]:
    output, code = StringIO(), 0
    try:
        call_command("audit_money", "--json", *options, stdout=output)
    except SystemExit as stop:
        code = int(stop.code or 0)
    return code, json.loads(output.getvalue())["findings"]


def violations(*options: str) -> list[tuple[str, str]]:
    return [
        (found["code"], found["object_type"])
        for found in audit(*options)[1]
        if found["kind"] == "violation"
    ]


def seal_both() -> None:
    for chain in (LEDGER, TRAIL):
        chain_seal(chain)
