"""The moves of a race. Each says in one word what its caller was told.

A refusal is its code. Anything that is not a refusal of ours is named with an exclamation mark,
which no serial order ever answers.
"""

import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.test import Client

from balances.models import UserBalance
from balances.services import balance_freeze, balance_top_up, balance_unfreeze, opening_adopt
from config.gateways.services import gateway_config_set
from config.prices.plan import PriceChange
from config.prices.services import price_change
from gateways.interface import RefundReport, RefundRequest, RefundState
from payments.models import PaymentOrder, PaymentTransaction
from payments.services.attempts import PayCommand, pay
from payments.services.endings import order_cancel, orders_expire
from payments.services.exchanges import Question, ask
from payments.services.orders import OrderCommand, order_create
from payments.services.sweeping import attempts_sweep, order_sync
from payments.services.topups import topup_create
from payments.states import ExchangeKind
from reconciliation.closing_errors import FiguresChanged
from reconciliation.services.closing import close_propose, close_sign, reopening_approve
from refunds.models import Refund, RefundBulkRow
from refunds.services.balance_give_back import balance_give_back
from refunds.services.bulk_runs import bulk_run
from refunds.services.cases import case_write_off_decide
from refunds.services.notices import notices_take
from refunds.services.requests import refund_request, refund_review, refund_withdraw
from refunds.services.retries import refund_retry
from refunds.services.submission import (
    refund_report_apply,
    refund_submit,
    refunds_sweep,
)
from refunds.services.surplus import surplus_sweep
from tcmpay.accounts.services import token_issue
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM, Role
from tcmpay.common.errors import DomainError
from tcmpay.common.ids import new_id
from tcmpay.limits import services as limits
from tests.races.gateway import SharedGateway
from tests.races.worlds import World, admin, patient, report_paid, staff

OK = "ok"
LONG_WINDOW_SECONDS = 10**9

ACTIONS: dict[str, Callable[..., str | None]] = {}


def action(move: Callable[..., str | None]) -> Callable[..., str | None]:
    ACTIONS[move.__name__] = move
    return move


def perform(things: World, name: str, at_seconds: float | None, arguments: dict[str, Any]) -> str:
    """Do it, at its moment, and return the answer."""
    moment = clock.now() if at_seconds is None else things["born"] + timedelta(seconds=at_seconds)
    try:
        with clock.frozen(moment):
            return ACTIONS[name](things, **arguments) or OK
    except DomainError as refusal:
        return refusal.code
    except Exception as error:
        return f"!{type(error).__name__}: {error}"


# --- paying -----------------------------------------------------------------------------------


@action
def pay_balance(things: World, order: str = "order") -> None:
    command = PayCommand(order_id=things[order], payment_method="balance")
    pay(actor=patient(things["user"]), command=command)


@action
def gateway_start(things: World, method: str = "wechat", scene: str = "") -> None:
    command = PayCommand(order_id=things["order"], payment_method=method, scene=scene)
    pay(actor=patient(things["user"]), command=command)


@action
def callback(
    things: World, method: str = "wechat", number: str = "number", status: str = "TRADE_SUCCESS"
) -> str:
    """The gateway tells us, over HTTP, what became of a trade."""
    return _tell(things[number], method, status)


@action
def buyer_pays(things: World) -> str:
    """The buyer pays, if the gateway still lets them, and we are told."""
    if not SharedGateway("wechat").buyer_pays(things["number"]):
        return "closed"
    return _tell(things["number"], "wechat", "TRADE_SUCCESS")


@action
def hear_late(things: World) -> str:
    """The gateway's word about the day to be closed comes now; in which day the money counts."""
    report_paid(things["number"], things["paid_at"], clock.now())
    order = PaymentOrder.objects.get(id=things["order"])
    return "in its day" if order.paid_on == things["day"] else "later"


@action
def close_day(things: World) -> str:
    """Two people close the day, again where its figures changed meanwhile; how many payments of
    this world what they signed has beside the one that was there."""
    while True:
        try:
            close = close_propose(actor=staff(things["admins"][0]), day=things["day"])
            close = close_sign(actor=staff(things["admins"][1]), close_id=close.id)
        except FiguresChanged:
            continue
        return f"with {close.figures['receipts_number'] - things['there']}"


@action
def open_day(things: World) -> None:
    """A second person agrees that the day is opened again."""
    reopening_approve(actor=staff(things["admins"][2]), reopening_id=things["reopening"])


@action
def wrong_callback(things: World, amount: str) -> str:
    """The gateway reports another amount than was asked for."""
    return _tell(things["number"], "wechat", "TRADE_SUCCESS", amount=amount)


@action
def buyer_pays_whatever_is_open(
    things: World, method: str = "wechat", is_shown: bool = False
) -> str:
    """The buyer pays the newest attempt, if it has reached the gateway and is open there.

    ``is_shown``: only once they have been shown its code.
    """
    gateway = SharedGateway(method)
    attempts = PaymentTransaction.objects.filter(order_id=things["order"], payment_method=method)
    if is_shown:
        attempts = attempts.filter(response_data__isnull=False)
    attempt = attempts.order_by("-initiated_at").first()
    number = attempt.out_trade_no if attempt else None
    if number is None or not gateway.is_known(number):
        return "nothing to pay"
    if not gateway.buyer_pays(number):
        return "closed"
    return _tell(number, method, "TRADE_SUCCESS")


def _tell(number: str, method: str, status: str, amount: str = "") -> str:
    attempt = PaymentTransaction.objects.get(payment_method=method, out_trade_no=number)
    message = {
        "out_trade_no": number,
        "trade_no": f"T{number}",
        "trade_status": status,
        "total_amount": amount or str(attempt.amount),
    }
    answer = _client().post(
        f"/payment/callback/{method}", json.dumps(message), content_type="application/json"
    )
    return "handled" if answer.status_code == 200 else f"!{answer.status_code}"


@action
def query(things: World) -> None:
    order_sync(actor=admin(things["admins"][0]), order_id=things["order"])


@action
def sweep_attempts(_things: World) -> None:
    attempts_sweep()


# --- ending -----------------------------------------------------------------------------------


@action
def cancel(things: World) -> None:
    order_cancel(actor=patient(things["user"]), order_id=things["order"])


@action
def expire(_things: World) -> None:
    orders_expire()


# --- giving back ------------------------------------------------------------------------------


@action
def ask_refund(things: World, amount: str) -> None:
    refund_request(
        actor=patient(things["user"]),
        order_id=things["order"],
        amount=Decimal(amount),
        reason="race",
    )


@action
def run_bulk(things: World) -> str:
    """How many rows this worker carried out, and what became of them."""
    done = bulk_run(bulk_id=things["bulk"])
    rows = RefundBulkRow.objects.filter(bulk_id=things["bulk"])
    return f"{done} {list(rows.values_list('outcome', 'error_code'))}" if done else "0"


@action
def approve(things: World, by: int = 0, refund: str = "refund") -> None:
    _review(things, by, refund, is_approved=True)


@action
def reject(things: World, by: int = 1, refund: str = "refund") -> None:
    _review(things, by, refund, is_approved=False)


def _review(things: World, by: int, refund: str, *, is_approved: bool) -> None:
    refund_review(
        actor=admin(things["admins"][by]),
        refund_id=things[refund],
        is_approved=is_approved,
        notes="race",
    )


@action
def withdraw(things: World) -> None:
    refund_withdraw(actor=patient(things["user"]), refund_id=things["refund"])


@action
def submit_refund(things: World) -> None:
    refund_submit(refund_id=things["refund"])


@action
def hear_refund(things: World, state: str) -> None:
    """The gateway says how a refund ended; where it succeeded, the money is really back."""
    refund = Refund.objects.select_related("transaction").get(id=things["refund"])
    if state == RefundState.SUCCESS:
        SharedGateway("wechat").refund(
            RefundRequest(
                out_trade_no=refund.transaction.out_trade_no or "",
                transaction_id="",
                out_refund_no=refund.refund_no,
                refund_amount=refund.refund_amount,
                total_amount=refund.transaction.amount,
                reason="",
            )
        )
    report = RefundReport(
        refund.refund_no,
        RefundState(state),
        refund_id=f"M{refund.refund_no}",
        amount=refund.refund_amount,
    )
    # Kept as an answer of the gateway, as what we book must be.
    ask(Question(ExchangeKind.QUERY_REFUND, refund.transaction, refund.id), lambda: report)
    refund_report_apply(refund_id=refund.id, report=report)


@action
def sweep_refunds(_things: World) -> None:
    refunds_sweep()


@action
def sweep_surplus(_things: World) -> None:
    surplus_sweep()


@action
def retry_refund(things: World, by: int = 0) -> None:
    refund_retry(actor=admin(things["admins"][by]), refund_id=things["refund"], reason="race")


@action
def take_notices(_things: World) -> None:
    notices_take()


@action
def beat(_things: World) -> None:
    """Everything that the beat rings for, one after the other."""
    orders_expire()
    attempts_sweep()
    notices_take()
    surplus_sweep()
    refunds_sweep()


@action
def confirm_write_off(things: World, by: int = 0) -> None:
    case_write_off_decide(
        actor=admin(things["admins"][by]),
        exception_id=things["case"],
        is_confirmed=True,
        notes="race",
    )


@action
def ask_topup(things: World, amount: str) -> None:
    topup_create(actor=patient(things["user"]), user_id=things["user"], amount=Decimal(amount))


@action
def give_back(things: World, amount: str) -> str:
    """How much of the balance goes back over its top-ups, how much is left to a case."""
    given = balance_give_back(
        actor=staff(things["admins"][0]),
        user_id=things["user"],
        amount=Decimal(amount),
        reason="race",
        request_id=new_id(),
    )
    return f"{sum(refund.refund_amount for refund in given.refunds)}, left {given.left}"


# --- accounts ---------------------------------------------------------------------------------


@action
def top_up(things: World, amount: str = "5.00") -> None:
    balance_top_up(user_id=things["user"], amount=Decimal(amount), reason="race", actor=SYSTEM)


@action
def freeze(things: World, amount: str) -> None:
    balance_freeze(user_id=things["user"], amount=Decimal(amount), reason="race", actor=SYSTEM)


@action
def unfreeze(things: World, amount: str) -> None:
    balance_unfreeze(user_id=things["user"], amount=Decimal(amount), reason="race", actor=SYSTEM)


@action
def adopt_opening(things: World) -> str:
    is_adopted = opening_adopt(user_id=things["user"], reason="race", actor=SYSTEM)
    return "adopted" if is_adopted else "nothing"


@action
def look_at_balance(things: World) -> str:
    return _answer(_client(things["user"]).get(f"/api/v1/payment/balance/{things['user']}"))


@action
def naive_debit(things: World, amount: str) -> None:
    """What our own code must never do: read, compute, write. The harness has to find it."""
    account = UserBalance.objects.get(user_id=things["user"])
    account.balance -= Decimal(amount)
    account.save(update_fields=["balance"])


@action
def naive_spend(things: World, amount: str) -> str:
    """Another one: the check and the write are two statements."""
    account = UserBalance.objects.get(user_id=things["user"])
    if account.balance < Decimal(amount):
        return "INSUFFICIENT_BALANCE"
    account.balance -= Decimal(amount)
    account.save(update_fields=["balance"])
    return OK


# --- orders, prices, configuration ------------------------------------------------------------


@action
def create_for_appointment(things: World) -> None:
    command = OrderCommand(
        user_id=things["user"],
        order_type="appointment",
        amount=Decimal("30.00"),
        appointment_id=things["appointment"],
    )
    order_create(actor=patient(things["user"]), command=command)


@action
def create_priced(things: World) -> None:
    command = OrderCommand(
        user_id=things["user"], order_type="consultation", service_type=things["service_type"]
    )
    order_create(actor=patient(things["user"]), command=command)


@action
def change_price(things: World, price: str) -> None:
    price_change(actor=SYSTEM, change=PriceChange(things["service_type"], Decimal(price)))


@action
def change_configuration(things: World) -> None:
    gateway_config_set(actor=SYSTEM, method="wechat", key="app_id", value=things["new"])


# --- over the API -----------------------------------------------------------------------------


@action
def post_order(things: World, key: str) -> str:
    return _post(things, "orders", key, order_type="other", amount="30.00")


@action
def post_payment(things: World, key: str, method: str = "balance") -> str:
    return _post(things, "pay", key, order_id=str(things["order"]), payment_method=method)


@action
def post_refund(things: World, key: str, amount: str = "10.00") -> str:
    return _post(
        things,
        "refunds",
        key,
        order_id=str(things["order"]),
        refund_amount=amount,
        refund_reason="race",
    )


def _post(things: World, path: str, key: str, **body: str) -> str:
    if path == "orders":
        body["user_id"] = str(things["user"])
    answer = _client(things["user"]).post(
        f"/api/v1/payment/{path}",
        json.dumps(body),
        content_type="application/json",
        headers={"Idempotency-Key": f"{key}-{things['user']}"},
    )
    return _answer(answer)


def _answer(answer: Any) -> str:
    if answer.status_code >= 500:
        return f"!{answer.status_code} {answer.content.decode()}"
    if answer.status_code >= 400:
        return str(answer.json()["code"])
    is_replayed = answer.headers.get("Idempotency-Replayed") == "true"
    return f"{answer.status_code}{' again' if is_replayed else ''}"


def _client(user_id: UUID | None = None) -> Client:
    if user_id is None:
        return Client()
    token = token_issue(user_id=user_id, role=Role.PATIENT, ttl_seconds=60)
    return Client(headers={"Authorization": f"Bearer {token}"})


# --- limits -----------------------------------------------------------------------------------


@action
def hit_limit(things: World, times: int, limit: int) -> str:
    """How many of ``times`` requests a limit of ``limit`` lets through."""
    passed = 0
    for _hit in range(times):
        hit = limits.hit_count(
            scope="race", identity=str(things["user"]), window_seconds=LONG_WINDOW_SECONDS
        )
        # 0 would mean that the counter could not be reached, which lets everybody through.
        passed += hit.count <= limit
    return str(passed)


@action
def count_in_database(things: World, times: int, limit: int) -> str:
    """The same by the database's counter, whatever the cache is."""
    bucket = f"race{things['user'].hex}"
    counts = [limits._count_in_database(bucket, LONG_WINDOW_SECONDS) for _hit in range(times)]
    return str(sum(count <= limit for count in counts))
