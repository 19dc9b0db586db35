"""Sound books of any size: one patient made by the services, and copies with their own digests.

Each copy has its own numbers, ids and moments, and every keyed digest is made anew, so that the
audit finds nothing in them and has to look at all of it.
"""

import hashlib
import json
import re
import uuid
from collections import defaultdict
from collections.abc import Callable, Container, Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection, models
from django.db.transaction import atomic
from django.test import override_settings

from backoffice.today.services import day_totals_catch_up
from balances.invariants import LEDGER
from balances.ledger import entry_hash
from balances.models import BalanceTransaction, UserBalance
from balances.services import balance_top_up
from payments.invariants_seals import CALLBACKS, EXCHANGES
from payments.models import (
    GatewayExchange,
    PaymentCallback,
    PaymentCallbackBody,
    PaymentOrder,
    PaymentTransaction,
)
from payments.services.orders import immutable_facts
from refunds.models import Refund, RefundApproval
from refunds.services.submission import refund_submit
from tcmpay.audit.invariants import TRAIL
from tcmpay.audit.models import AuditEvent, LogHead
from tcmpay.audit.row_digests import ROW, row_digest
from tcmpay.audit.seals import chain_seal
from tcmpay.audit.services import event_hash
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM
from tests.audit.lively import Clinic, gateways
from tests.stateful.book import BOOKS
from webhooks.models import WebhookEvent
from webhooks.services.dispatch import dispatcher_lock

DAYS = 30
SECONDS_A_DAY = 72_000  # a copy's moments stay on one business day
COPIES_AT_ONCE = 100
# Columns that are made anew for each copy, after the rest of it.
MADE_ANEW = frozenset(
    {"hash", "previous_hash", "log_hash", "body_sha256", "kept_digest", "details", "sequence"}
)
# Parents first.
TABLES: tuple[type[models.Model], ...] = (
    UserBalance, BalanceTransaction, PaymentOrder, PaymentTransaction, PaymentCallback,
    PaymentCallbackBody, GatewayExchange, Refund, RefundApproval, LogHead, AuditEvent, WebhookEvent,
)  # fmt: skip
TOLD = (PaymentOrder, PaymentTransaction, Refund)
NAMED = re.compile(
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?:ORD|TXN|RFD)[0-9]{14}[0-9A-Z]{10}"
)
Rows = dict[type[models.Model], list[Any]]


def top_ups(clinic: Clinic) -> None:
    """Twenty entries that belong to no order."""
    for number in range(20):
        balance_top_up(
            user_id=clinic.patient.id,
            amount=Decimal("20.00"),
            reason=f"充值 {number}",
            actor=SYSTEM,
        )


def from_balance(clinic: Clinic) -> None:
    """Twenty entries: one top-up, eighteen orders, one of them partly refunded."""
    balance_top_up(user_id=clinic.patient.id, amount=Decimal("900.00"), reason="充值", actor=SYSTEM)
    orders = [clinic.paid("balance") for _number in range(18)]
    clinic.approved(clinic.asked_back(orders[0], "10.00"))


def mixed(clinic: Clinic) -> None:
    """The same, and two orders by each gateway, one of them partly refunded."""
    from_balance(clinic)
    orders = [clinic.paid(method) for method in (*BOOKS, *BOOKS)]
    refund_submit(refund_id=clinic.approved(clinic.asked_back(orders[0], "9.00")).id)


MIXES: dict[str, Callable[[Clinic], None]] = {
    "topups": top_ups,
    "balance": from_balance,
    "mixed": mixed,
}


def books_make(mix: str, copies: int) -> int:
    """Fill an empty database; returns the number of the ledger's entries. Seals every day."""
    begin = clock.day_start(clock.today() - timedelta(days=DAYS)) + timedelta(hours=1)
    with (
        override_settings(
            MOCK_CALLBACKS=False, ORDER_PRICE_POLICY="open", REFUND_SECOND_APPROVAL_OVER=None
        ),
        gateways(),
        clock.frozen(begin),
    ):
        clinic = Clinic()
        MIXES[mix](clinic)
    rows = _rows_of(clinic)
    originals = _Originals(rows)
    for model in reversed(TABLES):
        keys = [row.pk for row in rows[model]]
        model._default_manager.filter(pk__in=keys)._raw_delete("default")
    a_day = -(-copies // DAYS)
    for day in range(DAYS):
        numbers = range(day * a_day, min((day + 1) * a_day, copies))
        with atomic():
            for first in range(numbers.start, numbers.stop, COPIES_AT_ONCE):
                _insert(
                    _Copy(number, day, (number - day * a_day) * SECONDS_A_DAY // a_day).of(
                        originals
                    )
                    for number in range(first, min(first + COPIES_AT_ONCE, numbers.stop))
                )
        with clock.frozen(begin + timedelta(days=day + 1)):
            _seal()
    _seal()
    while day_totals_catch_up():
        pass
    return BalanceTransaction.objects.count()


def _seal() -> None:
    for chain in (LEDGER, TRAIL, CALLBACKS, EXCHANGES):
        chain_seal(chain)


class _Originals:
    """The rows of the first patient, and what in them is named after its patient."""

    def __init__(self, rows: Rows) -> None:
        accounts = rows[UserBalance]
        kept = {str(row.pk) for model in TABLES for row in rows[model]}
        kept |= {str(entry.related_id) for entry in rows[BalanceTransaction]}
        self.kept = sorted(kept)
        self.patients = {str(account.user_id) for account in accounts}
        self.moment: datetime = accounts[0].created_at
        names = kept | self.patients
        self.rows = {model: [_Original(row, names) for row in rows[model]] for model in TABLES}


def _rows_of(clinic: Clinic) -> Rows:
    rows: Rows = {model: list(model._default_manager.order_by("pk")) for model in TABLES}
    there = {str(row.pk) for model in TABLES for row in rows[model]} | {str(clinic.patient.id)}
    rows[AuditEvent] = [
        event
        for event in AuditEvent.objects.order_by("object_type", "object_id", "version")
        if event.object_id in there
    ]
    return rows


def _insert(copies: Iterator[Rows]) -> None:
    together: Rows = defaultdict(list)
    for copy in copies:
        for model, rows in copy.items():
            together[model] += rows
    dispatcher = dispatcher_lock()
    for event in together[WebhookEvent]:
        dispatcher.last_sequence += 1
        event.sequence = dispatcher.last_sequence
    dispatcher.save(update_fields=["last_sequence"])
    for model in TABLES:
        _insert_rows(model, together[model])


def _insert_rows(model: type[models.Model], rows: Sequence[Any]) -> None:
    """As ``bulk_create`` does it; what all copies have alike is made ready for SQL once."""
    fields = model._meta.concrete_fields
    quoted = connection.ops.quote_name
    names = ", ".join(quoted(field.column) for field in fields)
    places = ", ".join(["%s"] * len(fields))
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO {quoted(model._meta.db_table)} ({names}) VALUES ({places})",
            [_ready(row, fields) for row in rows],
        )


def _ready(row: Any, fields: Sequence[Any]) -> list[Any]:
    alike, values = row.original.alike, row.__dict__
    return [
        alike[name]
        if (name := field.attname) in alike
        else field.get_db_prep_save(values[name], connection)
        for field in fields
    ]


class _Original:
    """A row that is copied: which of its columns all copies have alike, ready for SQL."""

    def __init__(self, row: Any, names: Container[str]) -> None:
        self.row = row
        self.model: type[models.Model] = type(row)
        self.varying: list[tuple[str, Any]] = []
        self.alike: dict[str, Any] = {}
        for field in row._meta.concrete_fields:
            name, value = field.attname, getattr(row, field.attname)
            if isinstance(value, dict | list):
                self.varying.append((name, _Json(json.dumps(value))))
            elif (
                isinstance(value, date)
                or (isinstance(value, uuid.UUID) and str(value) in names)
                or (isinstance(value, str) and NAMED.search(value))
            ):
                self.varying.append((name, value))
            elif name not in MADE_ANEW:
                self.alike[name] = field.get_db_prep_save(value, connection)


class _Json(NamedTuple):
    text: str


class _Copy:
    """The books of one more patient, ``day`` days and ``seconds`` later."""

    def __init__(self, number: int, day: int, seconds: int) -> None:
        self._number, self._days = number, timedelta(days=day)
        self._later = self._days + timedelta(seconds=seconds)
        self._names: dict[str, str] = {}

    def of(self, originals: "_Originals") -> Rows:
        start = int((originals.moment + self._later).timestamp() * 1000) << 80
        start |= 0x7 << 76 | 0b10 << 62 | self._number << 16
        for place, key in enumerate(originals.kept):
            self._names[key] = str(uuid.UUID(int=start + place))
        self._names |= {patient: str(uuid.uuid4()) for patient in originals.patients}
        rows: Rows = {
            model: [self._copied(original) for original in some]
            for model, some in originals.rows.items()
        }
        _digest_logs(rows)
        _digest_trail(rows)
        _digest_ledger(rows)
        return rows

    def _copied(self, original: _Original) -> Any:
        copied: Any = object.__new__(original.model)
        copied.__dict__.update(original.row.__dict__, original=original)
        for name, value in original.varying:
            copied.__dict__[name] = self._value(value)
        return copied

    def _value(self, value: Any) -> Any:
        if isinstance(value, uuid.UUID):
            return uuid.UUID(self._names[str(value)])
        if isinstance(value, _Json):
            return json.loads(NAMED.sub(self._named, value.text))
        if isinstance(value, datetime):
            return value + self._later
        if isinstance(value, date):
            return value + self._days
        return NAMED.sub(self._named, value)

    def _named(self, found: re.Match[str]) -> str:
        name = found.group()
        if "-" not in name and name not in self._names:
            self._names[name] = f"{name[:17]}{self._number:07}{len(self._names):03}"
        return self._names.get(name, name)


def _digest_logs(rows: Rows) -> None:
    callbacks = {callback.id: callback for callback in rows[PaymentCallback]}
    for body in rows[PaymentCallbackBody]:
        callback = callbacks[body.callback_id]
        callback.body_sha256 = hashlib.sha256(body.body.encode()).hexdigest()
        callback.kept_digest = row_digest(body)
    heads = {(head.log, head.key): head for head in rows[LogHead]}
    for model in (PaymentCallback, GatewayExchange):
        for row in sorted(rows[model], key=lambda row: row.log_number):
            head = heads[model._meta.db_table, row.log_key]
            row.log_hash = row_digest(row, previous=head.hash if row.log_number > 1 else "")
            head.hash = row.log_hash


def _digest_trail(rows: Rows) -> None:
    told = {str(row.pk): row for model in TOLD for row in rows[model]}
    newest = {event.object_id: event for event in rows[AuditEvent] if ROW in event.details}
    before: dict[str, str] = {}
    for event in rows[AuditEvent]:
        row = told.get(event.object_id)
        if isinstance(row, PaymentOrder) and event.version == 1:
            event.details |= immutable_facts(row)
        if row is not None and newest.get(event.object_id) is event:
            event.details[ROW] = row_digest(row)
        event.previous_hash = before.get(event.object_id, "")
        event.hash = before[event.object_id] = event_hash(event)


def _digest_ledger(rows: Rows) -> None:
    before = ""
    for entry in sorted(rows[BalanceTransaction], key=lambda entry: entry.sequence):
        entry.previous_hash = before
        entry.hash = before = entry_hash(entry)
