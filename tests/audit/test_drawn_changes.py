"""Whatever is changed by SQL in the tables of money shows: every column, drawn by a seed.

AUDIT_DRAWS=all   every kind of change of every column (scripts/test_long.sh audit)
"""

import os
import random
from datetime import timedelta
from pathlib import Path

import pytest

from backoffice.models import DayTotal, TotalledDay
from balances.models import BalanceAdjustment, BalanceTransaction, UserBalance
from conftest import SEED
from payments.models import (
    BookingWatermark,
    ClosedDay,
    DayFigure,
    GatewayExchange,
    PaymentCallback,
    PaymentCallbackBody,
    PaymentException,
    PaymentOrder,
    PaymentTransaction,
)
from reconciliation.models import DailyClose, DayReopening
from refunds.models import (
    Refund,
    RefundApproval,
    RefundBatch,
    RefundBatchRow,
    RefundBulk,
    RefundBulkRow,
    RefundNote,
    RefundPolicyRule,
)
from tcmpay.common import clock
from tests.audit.draw import drawn, findings, noticed
from tests.audit.lively import lively_books, lively_topups
from webhooks.models import WebhookDelivery, WebhookEndpoint, WebhookEvent, WebhookTry

TABLES = (
    PaymentOrder, PaymentTransaction, PaymentCallback, PaymentCallbackBody, GatewayExchange,
    PaymentException, Refund, RefundApproval, RefundBatch, RefundBatchRow, RefundBulk,
    RefundBulkRow, RefundNote,
    RefundPolicyRule, UserBalance, BalanceTransaction, BalanceAdjustment, DayTotal, TotalledDay,
    DayFigure, ClosedDay, BookingWatermark, DailyClose, DayReopening,
    WebhookEvent, WebhookEndpoint, WebhookDelivery, WebhookTry,
)  # fmt: skip
# What nothing in the database tells otherwise; docs/operations.md says of each why.
UNNOTICEABLE = frozenset(
    {
        "payment_orders.expiry_tried_at",
        "payment_orders.refund_changes",
        "payment_transactions.checks",
        "payment_transactions.next_check_at",
        "payment_transactions.is_close_owed",
        "payment_transactions.error_code",
        "payment_transactions.error_message",
        "payment_transactions.starts",
        "payment_transactions.started_at",
        "refund_records.sendings",
        "refund_records.sent_at",
        "refund_records.refused_code",
        "refund_records.refused_message",
        "payment_callbacks.is_picked_up",
        "payment_callbacks.takes",
        "payment_callbacks.next_take_at",
        "payment_callback_bodies (deleted)",
        "refund_records.submissions",
        "refund_records.next_check_at",
        "refund_batches.next_run_at",
        "refund_batch_rows.outcome",
        "refund_batch_rows.error_code",
        "refund_batch_rows.tries",
        "refund_batch_rows.decided_at",
        "refund_bulks.next_run_at",
        "refund_bulk_rows.outcome",
        "refund_bulk_rows.error_code",
        "refund_bulk_rows.tries",
        "refund_bulk_rows.decided_at",
        "refund_notes.updated_at",
        "user_balances.created_at",
        "payment_booking_watermark.booked_at",
        "backoffice_totalled_days.totalled_at",
        "backoffice_totalled_days (deleted)",
        "webhook_endpoints.reached",
        "webhook_endpoints.failures",
        "webhook_endpoints.failing_since",
        "webhook_endpoints.succeeded_at",
        "webhook_deliveries.status",
        "webhook_deliveries.tries",
        "webhook_deliveries.due_at",
        "webhook_deliveries.lease",
        "webhook_deliveries.leased_until",
        "webhook_deliveries.created_at",
        "webhook_tries.took_ms",
        "webhook_tries.http_status",
        "webhook_tries.answer",
        "webhook_tries (doubled)",
    }
)


@pytest.fixture(scope="module")
def _books(lasting):
    # Of ten in the morning, whatever time it is: in the evening yesterday's rows, which nobody
    # sealed, would be overdue.
    with clock.frozen(clock.day_start(clock.today()) + timedelta(hours=10)):
        lively_books()
        lively_topups()
        return clock.now()


@pytest.fixture
def books(_books, db):
    """As they are at one moment: nothing becomes overdue while changes are tried."""
    with clock.frozen(_books):
        yield


def test_the_audit_is_silent_about_lively_books(books):
    assert list(findings()) == []


def test_it_notices_a_change_of_every_column_and_row(books):
    dice = random.Random(SEED)
    is_long = os.environ.get("AUDIT_DRAWS") == "all"
    changes = [change for table in TABLES for change in drawn(table, dice, all_kinds=is_long)]
    if not is_long:
        changes = [change for change in changes if change.where not in UNNOTICEABLE]
    unseen = [change for change in changes if not noticed(change)]
    print(f"seed {SEED}: {len(changes)} changes, {len(unseen)} unnoticed")  # noqa: T201
    for change in unseen:
        print(f"  {change}")  # noqa: T201
    assert [str(change) for change in unseen if change.where not in UNNOTICEABLE] == []


@pytest.mark.parametrize("folder", ["docs", "docs/en"])
def test_the_documents_name_what_can_not_be_noticed(folder):
    text = (Path(__file__).parents[2] / folder / "operations.md").read_text("utf-8")
    assert [where for where in sorted(UNNOTICEABLE) if f"`{where}`" not in text] == []
