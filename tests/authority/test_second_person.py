"""Every door that moves or decides money, and who may not go through it: as one table.

A door is built anew for each person; whoever is refused changes no row.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from unittest.mock import patch

import pytest

from balances.adjustments import adjustment_approve, adjustment_reject, adjustment_request
from balances.errors import OwnAdjustment, OwnBalance
from balances.models import Direction
from balances.services import balance_freeze, balance_top_up, balance_unfreeze, opening_adopt
from config.gateways.drafts import draft_activate, draft_save
from config.gateways.errors import DraftIsOwn, DraftNotTested
from config.models import PaymentConfigDraft
from config.prices.errors import PriceChangeIsOwn
from config.prices.plan import PriceChange
from config.prices.selectors import periods_digest, price_periods
from config.prices.services import price_change, price_change_confirm, price_change_refuse
from gateways.interface import RefundReport, RefundState, TradeReport, TradeState
from gateways.mock import MockGateway
from payments.errors import NotConfirmedByGateway, OwnCase, SelfConfirmation
from payments.models import PaymentTransaction
from payments.services.exceptions import (
    exception_close,
    exception_open,
    exception_write_off_ask,
)
from payments.services.matching import exception_match, exception_query
from payments.services.orders import OrderCommand, order_create
from payments.states import ExceptionKind
from reconciliation.closing_errors import NobodyKnown, OwnClose, OwnReopening
from reconciliation.services.closing import (
    close_propose,
    close_reject,
    close_sign,
    reopening_approve,
    reopening_reject,
    reopening_request,
)
from reconciliation.tests import days
from refunds.bulk_plan import Wanted
from refunds.errors import (
    ApprovedByYouAlready,
    BulkPausedByAnother,
    RetryNeedsSecondPerson,
    SelfReview,
    StopNeedsSecondPerson,
)
from refunds.models import Refund, RefundBulk
from refunds.services.bulks import (
    bulk_approve,
    bulk_end,
    bulk_pause,
    bulk_reject,
    bulk_request,
    bulk_resume,
    bulk_withdraw,
)
from refunds.services.cases import case_give_back, case_retry, case_write_off_decide
from refunds.services.requests import refund_replace, refund_request, refund_review
from refunds.services.retries import refund_retry
from refunds.services.stopping import refund_stop
from refunds.services.submission import refund_submit
from refunds.states import BulkSource, RefundStatus
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM, Actor, Role
from tcmpay.common.errors import DomainError, Forbidden
from tcmpay.common.money import parse_money
from tests.api.kit import nothing_moves
from tests.clinic import (
    late_case,
    paid_order,
    patient,
    report_paid,
    started_attempt,
    unknown_case,
    waiting_refund,
    wrong_amount_case,
)

pytestmark = pytest.mark.django_db

LIN = Actor(uuid.UUID(int=1), Role.STAFF, "林")
WANG = Actor(uuid.UUID(int=2), Role.STAFF, "王")
NOBODY = Actor(None, Role.STAFF, "")

Refusal = type[DomainError]
Act = Callable[[Actor], object]


@dataclass(frozen=True)
class Door:
    """What is done, and who may not: each with the refusal. Everybody else may."""

    act: Act
    refused: dict[str, tuple[Actor, Refusal]]


def staff(user_id: object) -> Actor:
    """The staff user who is the same person as a platform's user."""
    return Actor(uuid.UUID(str(user_id)), Role.STAFF)


# --- refunds ------------------------------------------------------------------------------------


def review_of(refund: Refund, *, is_approved: bool) -> Door:
    return Door(
        lambda actor: refund_review(
            actor=actor, refund_id=refund.id, is_approved=is_approved, notes="同意"
        ),
        {
            "requester": (LIN, SelfReview),
            "payer": (staff(refund.user_id), SelfReview),
            "nobody": (NOBODY, SelfReview),
        },
    )


def approve_refund() -> Door:
    return review_of(waiting_refund(asker=LIN), is_approved=True)


def reject_refund() -> Door:
    return review_of(waiting_refund(asker=LIN), is_approved=False)


def complete_refund() -> Door:
    refund = waiting_refund(amount="600.00", asker=LIN)
    refund_review(actor=WANG, refund_id=refund.id, is_approved=True, notes="一审")
    door = review_of(refund, is_approved=True)
    return Door(door.act, door.refused | {"first approver": (WANG, ApprovedByYouAlready)})


def approve_beside_a_larger_one() -> Door:
    """One that needed one person when it was asked for; the next one made them too many."""
    order = paid_order(amount="900.00")
    first = refund_request(actor=LIN, order_id=order.id, amount=Decimal("400.00"), reason="部分")
    refund_request(actor=LIN, order_id=order.id, amount=Decimal("500.00"), reason="其余")
    refund_review(actor=WANG, refund_id=first.id, is_approved=True, notes="一审")
    first.refresh_from_db()
    assert first.status == RefundStatus.PENDING, "together they are over the line"
    door = review_of(first, is_approved=True)
    return Door(door.act, door.refused | {"first approver": (WANG, ApprovedByYouAlready)})


def replace_refund() -> Door:
    refund = waiting_refund(asker=LIN)
    return Door(
        lambda actor: refund_replace(
            actor=actor, refund_id=refund.id, amount=Decimal("10.00"), notes="少退"
        ),
        {
            "requester": (LIN, SelfReview),
            "payer": (staff(refund.user_id), SelfReview),
        },
    )


def failed_refund(amount: str, paid: str) -> Refund:
    """Approved by WANG, refused by its gateway."""
    attempt = started_attempt(amount=paid)
    report_paid(attempt)
    refund = refund_request(
        actor=LIN, order_id=attempt.order_id, amount=Decimal(amount), reason="未服务"
    )
    refund_review(actor=WANG, refund_id=refund.id, is_approved=True, notes="同意")
    closed = RefundReport(refund.refund_no, RefundState.CLOSED)
    with patch.object(MockGateway, "refund", return_value=closed):
        refund_submit(refund_id=refund.id)
    refund.refresh_from_db()
    assert refund.status == RefundStatus.FAILED
    return refund


def grown_failed_refund() -> Refund:
    """400 failed, then 500 were asked for and approved: 900 over a line of 500."""
    refund = failed_refund("400.00", "900.00")
    other = refund_request(
        actor=LIN, order_id=refund.order_id, amount=Decimal("500.00"), reason="再退"
    )
    refund_review(actor=WANG, refund_id=other.id, is_approved=True, notes="同意")
    return refund


def approve_bulk() -> Door:
    return bulk_door(bulk_approve)


def reject_bulk() -> Door:
    return bulk_door(bulk_reject)


def bulk_door(decide: Callable[..., object]) -> Door:
    bulk = bulk_request(
        actor=LIN,
        wanted=[Wanted(str(paid_order().id))],
        reason="医生停诊",
        source=BulkSource.ORDERS,
    )
    return Door(
        lambda actor: decide(actor=actor, bulk_id=bulk.id, notes="同意"),
        {"who asked": (LIN, SelfReview), "nobody": (NOBODY, SelfReview)},
    )


def running_bulk() -> RefundBulk:
    bulk = bulk_request(
        actor=LIN,
        wanted=[Wanted(str(paid_order().id))],
        reason="医生停诊",
        source=BulkSource.ORDERS,
    )
    return bulk_approve(actor=WANG, bulk_id=bulk.id, notes="同意")


# Neither nobody known, nor a patient, nor the platform's back end.
NO_REVIEWERS: dict[str, tuple[Actor, Refusal]] = {
    "nobody": (NOBODY, Forbidden),
    "patient": (Actor(uuid.UUID(int=3), Role.PATIENT), Forbidden),
    "service": (Actor(uuid.UUID(int=4), Role.SERVICE), Forbidden),
    "system": (SYSTEM, Forbidden),
}


def pause_bulk() -> Door:
    bulk = running_bulk()
    return Door(lambda actor: bulk_pause(actor=actor, bulk_id=bulk.id), NO_REVIEWERS)


def resume_bulk() -> Door:
    bulk = running_bulk()
    bulk_pause(actor=WANG, bulk_id=bulk.id)
    return Door(
        lambda actor: bulk_resume(actor=actor, bulk_id=bulk.id),
        {"who asked": (LIN, BulkPausedByAnother), **NO_REVIEWERS},
    )


def end_bulk() -> Door:
    bulk = running_bulk()
    bulk_pause(actor=WANG, bulk_id=bulk.id)
    return Door(
        lambda actor: bulk_end(actor=actor, bulk_id=bulk.id, notes="其余改期"), NO_REVIEWERS
    )


def withdraw_bulk() -> Door:
    bulk = bulk_request(
        actor=LIN,
        wanted=[Wanted(str(paid_order().id))],
        reason="医生停诊",
        source=BulkSource.ORDERS,
    )
    return Door(
        lambda actor: bulk_withdraw(actor=actor, bulk_id=bulk.id, notes=""),
        {"another": (WANG, Forbidden), **NO_REVIEWERS},
    )


def retry_of(refund: Refund, act: Act) -> Door:
    return Door(
        act,
        {
            "approver": (WANG, RetryNeedsSecondPerson),
            "requester": (LIN, RetryNeedsSecondPerson),
            "payer": (staff(refund.user_id), SelfReview),
        },
    )


def retry_beyond_the_line() -> Door:
    refund = grown_failed_refund()
    return retry_of(
        refund, lambda actor: refund_retry(actor=actor, refund_id=refund.id, reason="重试")
    )


def retry_within_the_line() -> Door:
    refund = failed_refund("400.00", "900.00")
    return Door(
        lambda actor: refund_retry(actor=actor, refund_id=refund.id, reason="重试"),
        {"payer": (staff(refund.user_id), SelfReview)},
    )


def stop_beyond_the_line() -> Door:
    """LIN asked for it to be sent no more."""
    attempt = started_attempt(amount="600.00")
    report_paid(attempt)
    owner = Actor(attempt.order.user_id, Role.PATIENT)
    refund = refund_request(
        actor=owner, order_id=attempt.order_id, amount=Decimal("600.00"), reason="未服务"
    )
    for reviewer in (LIN, WANG):
        refund_review(actor=reviewer, refund_id=refund.id, is_approved=True, notes="同意")
    refund_stop(actor=LIN, refund_id=refund.id, reason="账号已停用")
    return Door(
        lambda actor: refund_stop(actor=actor, refund_id=refund.id, reason="同意"),
        {
            "asker": (LIN, StopNeedsSecondPerson),
            "payer": (staff(refund.user_id), SelfReview),
            "nobody": (NOBODY, SelfReview),
        },
    )


def give_back_surplus() -> Door:
    case = late_case()
    return Door(
        lambda actor: case_give_back(actor=actor, exception_id=case.id, reason="退回"),
        {"payer": (staff(case.order.user_id), OwnCase)},
    )


def retry_from_the_desk() -> Door:
    refund = failed_refund("30.00", "30.00")
    exception_open(
        ExceptionKind.REFUND_REFUSED,
        method="wechat",
        fact=str(refund.id),
        attempt=refund.transaction,
    )
    case = refund.transaction.exceptions.get(kind=ExceptionKind.REFUND_REFUSED)
    return Door(
        lambda actor: case_retry(actor=actor, exception_id=case.id, reason="重试"),
        {"payer": (staff(refund.user_id), OwnCase)},
    )


# --- cases --------------------------------------------------------------------------------------


def match_payment() -> Door:
    case = unknown_case()
    owner = patient()
    order = order_create(
        actor=Actor(LIN.id, Role.ADMIN),
        command=OrderCommand(user_id=owner.id, order_type="appointment", amount=Decimal("30.00")),
    )
    return Door(
        lambda actor: exception_match(
            actor=actor, exception_id=case.id, order_no=order.order_no, reason="用户提供截图"
        ),
        {
            "order's owner": (staff(owner.id), OwnCase),
            "order's maker": (LIN, OwnCase),
        },
    )


def write_off_ask() -> Door:
    case = wrong_amount_case()
    return Door(
        lambda actor: exception_write_off_ask(actor=actor, exception_id=case.id, reason="已退"),
        {"order's owner": (staff(case.order.user_id), OwnCase)},
    )


def write_off_confirm() -> Door:
    case = wrong_amount_case()
    exception_write_off_ask(actor=LIN, exception_id=case.id, reason="已退")
    return Door(
        lambda actor: case_write_off_decide(
            actor=actor, exception_id=case.id, is_confirmed=True, notes=""
        ),
        {
            "who asked": (LIN, SelfConfirmation),
            "order's owner": (staff(case.order.user_id), OwnCase),
            "nobody": (NOBODY, SelfConfirmation),
        },
    )


def query_case() -> Door:
    case = wrong_amount_case()
    return Door(
        lambda actor: exception_query(actor=actor, exception_id=case.id, reason="核对"),
        {"order's owner": (staff(case.order.user_id), OwnCase)},
    )


def close_case() -> Door:
    attempt = started_attempt()
    exception_open(ExceptionKind.STUCK_PAYMENT, method="wechat", fact="1", attempt=attempt)
    case = attempt.exceptions.get()
    return Door(
        lambda actor: exception_close(actor=actor, exception_id=case.id, resolution="已查明"),
        {"order's owner": (staff(attempt.order.user_id), OwnCase)},
    )


# --- balances -----------------------------------------------------------------------------------


def asked_adjustment() -> tuple[uuid.UUID, Actor]:
    owner = patient()
    adjustment = adjustment_request(
        actor=LIN,
        request_id=uuid.uuid4(),
        user_id=owner.id,
        direction=Direction.CREDIT,
        amount=Decimal("5.00"),
        reason="补记",
    )
    return adjustment.id, owner


def adjustment_door(decide: Callable[..., object]) -> Door:
    adjustment_id, owner = asked_adjustment()
    return Door(
        lambda actor: decide(actor=actor, adjustment_id=adjustment_id, notes="核对过"),
        {
            "who asked": (LIN, OwnAdjustment),
            "account's owner": (staff(owner.id), OwnBalance),
            "nobody": (NOBODY, OwnAdjustment),
        },
    )


def approve_adjustment() -> Door:
    return adjustment_door(adjustment_approve)


def reject_adjustment() -> Door:
    return adjustment_door(adjustment_reject)


def ask_adjustment() -> Door:
    owner = patient()
    return Door(
        lambda actor: adjustment_request(
            actor=actor,
            request_id=uuid.uuid4(),
            user_id=owner.id,
            direction=Direction.CREDIT,
            amount=Decimal("5.00"),
            reason="补记",
        ),
        {"account's owner": (staff(owner.id), OwnBalance)},
    )


def balance_door(move: Callable[..., object], **more: object) -> Door:
    owner = patient()
    balance_top_up(user_id=owner.id, amount=Decimal("9.00"), reason="充值", actor=SYSTEM)
    if move is balance_unfreeze:
        balance_freeze(user_id=owner.id, amount=Decimal("5.00"), reason="x", actor=SYSTEM)
    return Door(
        lambda actor: move(actor=actor, user_id=owner.id, reason="核对过", **more),
        {"account's owner": (staff(owner.id), OwnBalance)},
    )


def freeze() -> Door:
    return balance_door(balance_freeze, amount=Decimal("5.00"))


def unfreeze() -> Door:
    return balance_door(balance_unfreeze, amount=Decimal("5.00"))


def top_up() -> Door:
    return balance_door(balance_top_up, amount=Decimal("5.00"))


def adopt_opening() -> Door:
    return balance_door(opening_adopt)


# --- prices and gateway configuration -----------------------------------------------------------


def waiting_price_change(service_type: str, price: str) -> uuid.UUID:
    change = PriceChange(service_type, parse_money(price), service_name="新服务")
    seen = periods_digest(price_periods(service_type))
    return price_change(
        actor=LIN, change=change, limit_percent=50, may_wait=True, reason="活动", seen=seen
    ).id


def confirm_price() -> Door:
    change = waiting_price_change("prescription", "1.00")
    return Door(
        lambda actor: price_change_confirm(actor=actor, request_id=change),
        {"who asked": (LIN, PriceChangeIsOwn), "nobody": (NOBODY, PriceChangeIsOwn)},
    )


def confirm_new_service() -> Door:
    change = waiting_price_change("appointment_promotion", "0.01")
    return Door(
        lambda actor: price_change_confirm(actor=actor, request_id=change),
        {"who asked": (LIN, PriceChangeIsOwn)},
    )


def refuse_price() -> Door:
    change = waiting_price_change("prescription", "1.00")
    return Door(
        lambda actor: price_change_refuse(actor=actor, request_id=change, notes="不同意"),
        {"who asked": (LIN, PriceChangeIsOwn)},
    )


def activate_configuration() -> Door:
    """Everybody else is asked for the test first, which is another rule."""
    draft_save(actor=LIN, method="wechat", values={"mch_id": "1900000001"}, revision=0)
    draft_save(actor=WANG, method="wechat", values={"app_id": "wx1234567890abcdef"}, revision=1)
    revision = PaymentConfigDraft.objects.get().revision
    return Door(
        lambda actor: draft_activate(
            actor=actor, method="wechat", revision=revision, reason="换商户"
        ),
        {"first editor": (LIN, DraftIsOwn), "second editor": (WANG, DraftIsOwn)},
    )


def day_to_close() -> date:
    """The first day with money, with nothing in the way."""
    day = clock.today() - timedelta(days=2)
    noon, owner = clock.day_start(day) + timedelta(hours=12), days.patient()
    days.funded(owner, "30.00", noon)
    days.paid_from_balance(owner, "30.00", noon)
    return day


def propose_close() -> Door:
    day = day_to_close()
    return Door(
        lambda actor: close_propose(actor=actor, day=day), {"nobody": (NOBODY, NobodyKnown)}
    )


def sign_close() -> Door:
    close = close_propose(actor=LIN, day=day_to_close())
    return Door(
        lambda actor: close_sign(actor=actor, close_id=close.id),
        {"who put it forward": (LIN, OwnClose), "nobody": (NOBODY, OwnClose)},
    )


def reject_close() -> Door:
    close = close_propose(actor=LIN, day=day_to_close())
    return Door(
        lambda actor: close_reject(actor=actor, close_id=close.id, notes="手续费未核"),
        {"who put it forward": (LIN, OwnClose), "nobody": (NOBODY, OwnClose)},
    )


def wish_to_reopen() -> uuid.UUID:
    close = close_propose(actor=WANG, day=day_to_close())
    close_sign(actor=LIN, close_id=close.id)
    return reopening_request(actor=LIN, day=close.day, reason="漏了一笔").id


def approve_reopening() -> Door:
    wish = wish_to_reopen()
    return Door(
        lambda actor: reopening_approve(actor=actor, reopening_id=wish),
        {"who asked": (LIN, OwnReopening), "nobody": (NOBODY, OwnReopening)},
    )


def reject_reopening() -> Door:
    wish = wish_to_reopen()
    return Door(
        lambda actor: reopening_reject(actor=actor, reopening_id=wish, notes="不必"),
        {"who asked": (LIN, OwnReopening), "nobody": (NOBODY, OwnReopening)},
    )


DOORS = (
    approve_refund,
    reject_refund,
    complete_refund,
    approve_bulk,
    reject_bulk,
    pause_bulk,
    resume_bulk,
    end_bulk,
    withdraw_bulk,
    approve_beside_a_larger_one,
    replace_refund,
    retry_beyond_the_line,
    retry_within_the_line,
    stop_beyond_the_line,
    give_back_surplus,
    retry_from_the_desk,
    match_payment,
    write_off_ask,
    write_off_confirm,
    query_case,
    close_case,
    approve_adjustment,
    reject_adjustment,
    ask_adjustment,
    freeze,
    unfreeze,
    top_up,
    adopt_opening,
    confirm_price,
    confirm_new_service,
    refuse_price,
    activate_configuration,
    propose_close,
    sign_close,
    reject_close,
    approve_reopening,
    reject_reopening,
)
# What somebody else meets behind the door, where it is not open for another reason.
ELSE_REFUSED: dict[object, Refusal] = {
    match_payment: NotConfirmedByGateway,
    withdraw_bulk: Forbidden,
    activate_configuration: DraftNotTested,
}


@pytest.fixture(autouse=True)
def _two_people_are_asked_for(settings):
    settings.REFUND_SECOND_APPROVAL_OVER = Decimal("500.00")
    settings.CONFIG_ACTIVATION_SECOND_PERSON = True
    settings.PRICE_CHANGE_SECOND_PERSON_OVER_PERCENT = 50
    settings.MOCK_CALLBACKS = True
    settings.LATE_PAYMENT_POLICY = "hold"


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_who_may_not_is_refused_and_changes_nothing(door):
    built = door()
    for who, (actor, refusal) in built.refused.items():
        with nothing_moves(), pytest.raises(refusal) as raised:
            built.act(actor)
        assert type(raised.value) is refusal, who


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_somebody_else_may(door):
    built = door()
    somebody = Actor(uuid.uuid4(), Role.STAFF, "赵")
    if refusal := ELSE_REFUSED.get(door):
        with pytest.raises(refusal):
            built.act(somebody)
    else:
        built.act(somebody)


def test_a_retry_beyond_the_line_counts_as_the_second_approval():
    refund = grown_failed_refund()
    somebody = Actor(uuid.uuid4(), Role.STAFF, "赵")
    refund_retry(actor=somebody, refund_id=refund.id, reason="核对过，重试")
    refund.refresh_from_db()
    assert refund.status == RefundStatus.PROCESSING
    approvers = refund.approvals.order_by("created_at").values_list("reviewer_id", flat=True)
    assert list(approvers) == [WANG.id, somebody.id]


def test_money_that_the_gateway_confirms_is_matched_by_somebody_else(monkeypatch):
    door = match_payment()
    report = TradeReport(
        out_trade_no="ORD20260101000000ABCDEF",
        state=TradeState.PAID,
        transaction_id="42000009",
        amount=Decimal("30.00"),
    )
    monkeypatch.setattr(MockGateway, "query_payment", lambda _self, _number: report)
    with nothing_moves(), pytest.raises(OwnCase):
        door.act(LIN)
    door.act(WANG)
    assert PaymentTransaction.objects.filter(status="success").count() == 1
