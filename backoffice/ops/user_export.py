"""All that is held about one user: for a request to see one's data, told in the trail."""

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from django.db.models import Model, QuerySet

from balances.models import BalanceAdjustment, BalanceTransaction, UserBalance
from payments.models import (
    GatewayExchange,
    PaymentCallback,
    PaymentCallbackBody,
    PaymentException,
    PaymentOrder,
    PaymentTransaction,
)
from refunds.models import Refund, RefundApproval
from tcmpay.accounts.models import SignIn, StaffUser
from tcmpay.audit.models import AuditEvent
from tcmpay.audit.services import audit_record
from tcmpay.common.actor import Actor
from tcmpay.common.db import money_unit
from tcmpay.common.invariants import batches
from webhooks.models import WebhookEvent

AUDIT_OBJECT = "user_data"
IDS_AT_ONCE = 500
# Digests and chains prove that nobody changed a row, a password opens an account: neither tells of
# a person.
LEFT_OUT = frozenset({
    "hash", "previous_hash", "mac", "log_hash", "log_key", "log_number", "kept_digest",
    "body_sha256", "password",
})  # fmt: skip


def user_data(user_id: UUID) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each row about the user, by its table; amounts in yuan, moments in UTC."""
    orders = _ids(PaymentOrder.objects.filter(user_id=user_id))
    attempts = _ids_of(PaymentTransaction, "order_id", orders)
    refunds = _ids(Refund.objects.filter(user_id=user_id))
    callbacks = _ids_of(PaymentCallback, "transaction_id", attempts)
    adjustments = _ids(BalanceAdjustment.objects.filter(user_id=user_id))
    yield from _rows(UserBalance.objects.filter(user_id=user_id))
    yield from _rows(BalanceTransaction.objects.filter(user_id=user_id).order_by("sequence"))
    yield from _rows(BalanceAdjustment.objects.filter(user_id=user_id))
    yield from _rows_of(PaymentOrder, "id", orders)
    yield from _rows_of(PaymentTransaction, "id", attempts)
    yield from _rows_of(PaymentCallback, "id", callbacks)
    yield from _rows_of(PaymentCallbackBody, "callback_id", callbacks)
    yield from _rows_of(GatewayExchange, "transaction_id", attempts)
    yield from _rows_of(PaymentException, "order_id", orders)
    yield from _rows_of(Refund, "id", refunds)
    yield from _rows_of(RefundApproval, "refund_id", refunds)
    yield from _rows_of(WebhookEvent, "object_id", [*orders, *refunds])
    # Staff, who may have an account under the same id.
    yield from _rows(StaffUser.objects.filter(id=user_id))
    yield from _rows(SignIn.objects.filter(user_id=user_id).order_by("created_at"))
    accounts = _ids(UserBalance.objects.filter(user_id=user_id))
    told = [str(one) for one in (user_id, *accounts, *orders, *attempts, *refunds, *adjustments)]
    yield from _rows_of(AuditEvent, "object_id", told)
    # What the user did to other objects.
    about = set(told)
    for table, row in _rows(AuditEvent.objects.filter(actor_id=user_id).order_by("pk")):
        if row["object_id"] not in about:
            yield table, row


def _ids(rows: QuerySet[Any]) -> list[Any]:
    return list(rows.order_by("pk").values_list("pk", flat=True))


def _ids_of(model: type[Model], column: str, values: list[Any]) -> list[Any]:
    found: list[Any] = []
    for some in batches(values, IDS_AT_ONCE):
        found += _ids(model._default_manager.filter(**{f"{column}__in": some}))
    return found


def _rows_of(
    model: type[Model], column: str, values: list[Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    for some in batches(values, IDS_AT_ONCE):
        yield from _rows(model._default_manager.filter(**{f"{column}__in": some}).order_by("pk"))


def _rows(rows: QuerySet[Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for row in rows.iterator():
        yield row._meta.db_table, _told(row)


def _told(row: Model) -> dict[str, Any]:
    fields = (field for field in row._meta.concrete_fields if field.attname not in LEFT_OUT)
    return {field.attname: getattr(row, field.attname) for field in fields}


@money_unit
def user_export_record(
    *, user_id: UUID, actor: Actor, reason: str, counts: Mapping[str, int]
) -> None:
    """Tell the trail who was given all that is held about the user, and why."""
    audit_record(
        object_type=AUDIT_OBJECT,
        object_id=user_id,
        action="user_data_exported",
        actor=actor,
        reason=reason,
        details=dict(counts),
    )
