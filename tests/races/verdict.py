"""What a race left behind: a summary that serial orders can be compared by, and what must never
be, checked row by row.

Attempts that ended unpaid are not in the summary: how often somebody tried in vain differs
between orders of events that are equal for everybody.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

from backoffice.ops.audit import audit
from balances.ledger import MOVES, entry_verdict
from balances.models import BalanceTransaction, UserBalance
from config.gateways.versions import version_values
from payments.models import PaymentCallback, PaymentOrder, PaymentTransaction
from payments.services.endings import orders_expire
from payments.services.sweeping import attempts_sweep
from payments.states import ORDER_TRANSITIONS, TRANSACTION_TRANSITIONS
from refunds.models import Refund
from refunds.services.submission import refunds_sweep
from refunds.services.surplus import surplus_sweep
from refunds.states import REFUND_TRANSITIONS, RESERVING_STATUSES
from tcmpay.audit.macs import Verdict
from tcmpay.audit.models import AuditEvent
from tcmpay.audit.services import event_verdict
from tcmpay.common import clock
from tcmpay.common.invariants import Scope
from tests.races.gateway import SharedGateway
from tests.races.worlds import World, orders_of

# Past every order's time and every wait between two questions.
QUIET_AFTER = timedelta(hours=3)
QUIET_ROUNDS = 2
LONG_AFTER = timedelta(days=1)
ZERO = Decimal("0.00")

# Whether a callback or a question came first is nobody's business: what became of the money is
# the payment's disposition.
BELIEVED = frozenset({"applied", "repeat", "late", "second"})

Summary = dict[str, Any]


def settle_down(things: World) -> None:
    """Let the sweepers do what is owed, as they would within minutes of everybody's recovery."""
    for method in ("wechat", "alipay"):
        SharedGateway(method).speak_again()
    for round_number in range(1, QUIET_ROUNDS + 1):
        with clock.frozen(things["born"] + QUIET_AFTER * round_number):
            attempts_sweep()
            surplus_sweep()
            refunds_sweep()


def stuck(things: World) -> list[str]:
    """What is still unfinished when everybody's time is long over (E5)."""
    found: list[str] = []
    with clock.frozen(things["born"] + LONG_AFTER):
        orders_expire()
        attempts_sweep()
        surplus_sweep()
        refunds_sweep()
    for order in orders_of(things):
        if order.status == "pending":
            found.append(f"E5 {order.order_no} is pending for ever")
        for attempt in order.transactions.filter(status="pending"):
            found.append(f"E5 {attempt.transaction_type} {attempt.payment_method} hangs")
    return found


# The gateway of the races is a mock in the place of a configured one: no product pays so.
MOCK_IN_DISGUISE = "标记为模拟支付，却没有模拟通知"


def audited() -> list[str]:
    """What the product's own audit says of everything that is there."""
    findings = (finding for _check, found in audit(Scope()) for finding in found)
    return [
        f"{finding.code} {finding.object_type}: {finding.message}"
        for finding in findings
        if not finding.is_notice and not finding.is_unfinished
        if MOCK_IN_DISGUISE not in str(finding.message)
    ]


def summary(things: World) -> Summary:
    orders = orders_of(things)
    return {
        "orders": sorted(_order_summary(order, things) for order in orders),
        "accounts": sorted(_account_summary(account) for account in _accounts(things)),
        "callbacks": sorted(
            "believed" if callback.verdict in BELIEVED else callback.verdict
            for callback in PaymentCallback.objects.filter(transaction__order__in=orders)
        ),
    }


def _order_summary(order: PaymentOrder, things: World) -> str:
    payments = order.transactions.filter(transaction_type="payment")
    parts = [
        f"{order.status} {order.payment_method} {order.amount}",
        *sorted(
            f"payment {payment.payment_method} {payment.status} {payment.disposition}"
            f" held {payment.refund_reserved}{_version(payment, things)}"
            for payment in payments.exclude(status="failed")
        ),
        *sorted(
            f"refund {refund.cause} {refund.refund_amount} {refund.status}"
            f" approvals {refund.approvals.count()}"
            for refund in order.refunds.all()
        ),
        *sorted(
            f"money back {back.payment_method} {back.amount} {back.status}"
            for back in order.transactions.filter(transaction_type="refund")
        ),
        *sorted(
            f"case {case.kind} {case.amount} {'closed' if case.closed_at else 'open'}"
            for case in order.exceptions.all()
        ),
    ]
    return "; ".join(parts)


def _version(payment: PaymentTransaction, things: World) -> str:
    if "new" not in things or payment.config_version_id is None:
        return ""
    app_id = version_values(payment.config_version_id).get("app_id")
    return " with the new configuration" if app_id == things["new"] else " with the old one"


def _account_summary(account: UserBalance) -> str:
    entries = sorted(
        f"{entry.transaction_type} {entry.amount} {entry.related_type}"
        for entry in BalanceTransaction.objects.filter(user_id=account.user_id)
    )
    adopted = " adopted" if account.opening_adopted_at else ""
    return f"{account.balance} frozen {account.frozen_balance}{adopted}: {', '.join(entries)}"


def _accounts(things: World) -> list[UserBalance]:
    return list(UserBalance.objects.filter(user_id__in=things["users"]))


# --- what must never be -----------------------------------------------------------------------


def violations(things: World) -> list[str]:
    """In plain words; empty when all is well."""
    found: list[str] = []
    for account in _accounts(things):
        found += _of_account(account)
    for order in orders_of(things):
        found += _of_order(order)
    return found


def _of_account(account: UserBalance) -> Iterator[str]:
    entries = list(BalanceTransaction.objects.filter(user_id=account.user_id).order_by("sequence"))
    balance = frozen = ZERO
    previous_hash = ""
    for number, entry in enumerate(entries, start=1):
        move = MOVES[entry.transaction_type]
        if entry.sequence != number:
            yield f"L3 entry {number} has sequence {entry.sequence}"
        if (entry.balance_before, entry.frozen_before) != (balance, frozen):
            yield f"L3 entry {number} begins at {entry.balance_before}, not at {balance}"
        balance += move.balance * entry.amount
        frozen += move.frozen * entry.amount
        if (entry.balance_after, entry.frozen_after) != (balance, frozen) or min(
            balance, frozen
        ) < 0:
            yield f"L2 entry {number} ends at {entry.balance_after}, not at {balance}"
        if entry.previous_hash != previous_hash or entry_verdict(entry) is not Verdict.HOLDS:
            yield f"L5 entry {number} does not fit its hash"
        previous_hash = entry.hash
    is_untouched = account.sequence == 0 and not entries
    if not is_untouched and (account.balance, account.frozen_balance) != (balance, frozen):
        yield f"L1 the balance is {account.balance}, its entries say {balance}"
    if account.sequence != len(entries):
        yield f"L1 the balance's sequence is {account.sequence} of {len(entries)}"
    held = account.balance + account.frozen_balance
    if not is_untouched and held != account.total_income - account.total_expense:
        yield "L1 the totals do not explain the balance"
    facts = Counter((e.related_type, e.related_id, e.transaction_type, e.occasion) for e in entries)
    yield from (f"L4 {fact} {times} times" for fact, times in facts.items() if times > 1)


def _of_order(order: PaymentOrder) -> Iterator[str]:
    transactions = list(order.transactions.all())
    refunds = list(order.refunds.all())
    applied = [t for t in transactions if t.applied_order_id is not None]
    if len(applied) != (order.payment_time is not None):
        yield f"O1 {order.status} with {len(applied)} applied payments"
    for payment in applied:
        if (payment.amount, payment.payment_method) != (order.amount, order.payment_method):
            yield "O2 the applied payment is not the order's"
        yield from _debits(order, payment)
    for payment in transactions:
        if payment.transaction_type == "payment":
            yield from _of_payment(order, payment, [r for r in refunds if r.transaction == payment])
    for refund in refunds:
        yield from _of_refund(refund, [t for t in transactions if t.refund_id == refund.id])
    yield from _trail("order", order, ORDER_TRANSITIONS)
    for transaction in transactions:
        yield from _trail("payment_transaction", transaction, TRANSACTION_TRANSITIONS)
    for refund in refunds:
        yield from _trail("refund", refund, REFUND_TRANSITIONS)


def _debits(order: PaymentOrder, payment: PaymentTransaction) -> Iterator[str]:
    credits = BalanceTransaction.objects.filter(related_id=order.id, related_type="topup")
    if credits.count() != (order.order_type == "topup"):
        yield f"L4 a paid {order.order_type} with {credits.count()} credits"
    debits = BalanceTransaction.objects.filter(
        related_id=order.id, related_type="order", transaction_type="expense"
    )
    if debits.count() != (payment.payment_method == "balance"):
        yield f"L4 paid by {payment.payment_method} with {debits.count()} debits"


def _of_payment(
    order: PaymentOrder, payment: PaymentTransaction, refunds: list[Refund]
) -> Iterator[str]:
    held = sum((r.refund_amount for r in refunds if r.status in RESERVING_STATUSES), ZERO)
    back = sum((r.refund_amount for r in refunds if r.status == "success"), ZERO)
    if held != payment.refund_reserved or held > payment.amount:
        yield f"R1 refunds hold {held}, noted {payment.refund_reserved} of {payment.amount}"
    if payment.applied_order_id is not None:
        expected = "paid" if not back else "partial_refunded"
        expected = "refunded" if back == payment.amount else expected
        if order.status != expected:
            yield f"R2 {order.status} with {back} of {payment.amount} given back"
    if payment.out_trade_no:
        yield from _of_trade(payment, payment.out_trade_no, back)


def _of_trade(payment: PaymentTransaction, number: str, back: Decimal) -> Iterator[str]:
    """E1: what the gateway did and what we know of it."""
    gateway = SharedGateway(payment.payment_method)
    refunded = gateway.refunded(number)
    if gateway.is_paid(number) != (payment.status == "success"):
        yield f"E1 {payment.status}, at the gateway paid: {gateway.is_paid(number)}"
    if refunded != back and not _is_case_open(payment):
        yield f"E1 the gateway gave back {refunded}, we know of {back}"
    if payment.disposition in {"late", "second"} and refunded != payment.amount:
        yield f"E1 {payment.disposition} money, {refunded} of {payment.amount} given back"


def _is_case_open(payment: PaymentTransaction) -> bool:
    """Money went back that our books have no room for: a person looks at it."""
    kinds = ("outside_refund", "refund_abnormal")
    return payment.exceptions.filter(kind__in=kinds, closed_at=None).exists()


def _of_refund(refund: Refund, carriers: list[PaymentTransaction]) -> Iterator[str]:
    succeeded = sum(carrier.status == "success" for carrier in carriers)
    if succeeded != (refund.status == "success"):
        yield f"R3 {refund.status} with {succeeded} successful transactions"
    entries = BalanceTransaction.objects.filter(related_id=refund.id, related_type="refund")
    kinds = Counter(entries.values_list("transaction_type", flat=True))
    is_to_balance = refund.transaction.payment_method == "balance"
    if kinds["income"] != (refund.status == "success" and is_to_balance):
        yield f"R3 {refund.status} with {kinds['income']} credits"
    is_off_balance = refund.order.order_type == "topup" and refund.cause == "requested"
    if kinds["expense"] != (refund.status == "success" and is_off_balance):
        yield f"R3 {refund.status} with {kinds['expense']} debits"
    is_frozen = refund.status in ("pending", "processing") and is_off_balance
    if kinds["freeze"] - kinds["unfreeze"] != is_frozen:
        yield f"R3 {refund.status}, frozen {kinds['freeze']}, released {kinds['unfreeze']}"


def _trail(
    object_type: str, thing: Any, transitions: Any, first_states: Iterable[str] = ("pending",)
) -> Iterator[str]:
    """E2: every state change has exactly one audit row, and the rows lead to the state."""
    events = list(
        AuditEvent.objects.filter(object_type=object_type, object_id=str(thing.id)).order_by(
            "version"
        )
    )
    state, previous_hash = "", ""
    for number, event in enumerate(events, start=1):
        if event.version != number:
            yield f"E2 {object_type}: version {event.version} in place {number}"
        if event.previous_hash != previous_hash or event_verdict(event) is not Verdict.HOLDS:
            yield f"E2 {object_type}: {event.action} does not fit its hash"
        previous_hash = event.hash
        if event.from_state != state:
            yield f"E2 {object_type}: {event.action} from {event.from_state}, it was {state}"
        is_step = event.from_state != event.to_state
        if state and is_step and event.to_state not in transitions[state]:
            yield f"E2 {object_type}: {state} → {event.to_state}"
        state = event.to_state
    if events and state != thing.status:
        yield f"E2 {object_type}: {thing.status}, its trail ends at {state}"
