"""Every deed on a case returns it as it is now, and leaves one line in its trail."""

from functools import partial

import pytest

from payments.errors import ActionNotOffered, ExceptionTaken
from payments.models import PaymentException
from payments.services.exceptions import (
    exception_assign,
    exception_begin,
    exception_claim,
    exception_close,
    exception_refusal_note,
    exception_release,
    exception_write_off_ask,
)
from payments.services.lasting_refusals import Cause, cause_case_open
from payments.states import ExceptionAction, ExceptionKind
from refunds.services.cases import case_write_off_decide
from tcmpay.audit.models import AuditEvent
from tcmpay.common import clock
from tcmpay.common.actor import Actor, Role
from tcmpay.common.ids import new_id
from tests.clinic import late_case

pytestmark = pytest.mark.django_db
WANG, LI = (Actor(new_id(), Role.STAFF, name) for name in ("王", "李"))


@pytest.fixture(autouse=True)
def _now(settings):
    settings.MOCK_CALLBACKS = True
    settings.ORDER_PRICE_POLICY = "open"
    with clock.frozen(clock.now()):
        yield


@pytest.fixture
def case() -> PaymentException:
    return late_case()


def trail(case: PaymentException, after: int = 0) -> list[tuple[str, object]]:
    rows = AuditEvent.objects.filter(object_id=str(case.id), version__gt=after)
    return list(rows.order_by("version").values_list("action", "actor_id"))


def same(case: PaymentException, returned: PaymentException) -> PaymentException:
    """What a deed returns is what the database holds."""
    kept = PaymentException.objects.get(id=case.id)
    for field in PaymentException._meta.concrete_fields:
        assert getattr(returned, field.attname) == getattr(kept, field.attname), field.name
    return kept


def test_claimed_assigned_and_released(case):
    begun = len(trail(case))
    deed = partial(exception_claim, exception_id=case.id)
    kept = same(case, deed(actor=WANG))
    assert (kept.owner_id, kept.claimed_at) == (WANG.id, clock.now())
    assert same(case, deed(actor=WANG)).owner_id == WANG.id  # again: nothing is written
    with pytest.raises(ExceptionTaken):
        deed(actor=LI)
    with pytest.raises(ExceptionTaken):
        exception_release(actor=LI, exception_id=case.id)
    kept = same(case, exception_assign(actor=LI, exception_id=case.id, owner_id=LI.id))
    assert kept.owner_id == LI.id
    exception_assign(actor=LI, exception_id=case.id, owner_id=LI.id)
    kept = same(case, exception_release(actor=LI, exception_id=case.id))
    assert (kept.owner_id, kept.claimed_at) == (None, None)
    assert same(case, exception_release(actor=WANG, exception_id=case.id)).owner_id is None
    assert trail(case, begun) == [
        ("exception_claimed", WANG.id),
        ("exception_assigned", LI.id),
        ("exception_released", LI.id),
    ]


def test_begun_and_refused(case):
    begun = len(trail(case))
    deed = {"exception_id": case.id, "action": ExceptionAction.REFUND}
    same(case, exception_begin(actor=WANG, reason="退回", **deed))
    exception_refusal_note(actor=WANG, text="没有余额", **deed)
    assert [action for action, _by in trail(case, begun)] == [
        "exception_claimed",
        "exception_action",
        "exception_action_refused",
    ]
    newest = AuditEvent.objects.filter(object_id=str(case.id)).latest("version")
    assert (newest.reason, newest.details["chosen"]) == ("没有余额", "refund")


def test_written_off_by_two(case):
    begun = len(trail(case))
    ask = partial(exception_write_off_ask, actor=WANG, exception_id=case.id, reason="已另行退还")
    decide = partial(case_write_off_decide, exception_id=case.id)
    kept = same(case, ask())
    asked = (kept.write_off_by, kept.write_off_at, kept.write_off_reason)
    assert asked == (WANG.id, clock.now(), "已另行退还")
    kept = same(case, decide(actor=LI, is_confirmed=False, notes="没有凭证"))
    assert (kept.write_off_by, kept.write_off_at, kept.write_off_reason) == (None, None, "")
    ask()
    kept = same(case, decide(actor=LI, is_confirmed=True, notes="已核对"))
    ended = (kept.outcome, kept.closed_at, kept.resolution)
    assert ended == ("written_off", clock.now(), "已另行退还；已核对")
    exception_refusal_note(
        actor=WANG, exception_id=case.id, action=ExceptionAction.REFUND, text="迟了"
    )
    assert [action for action, _by in trail(case, begun)][1:] == [
        "exception_write_off_asked",
        "exception_write_off_declined",
        "exception_write_off_asked",
        "exception_written_off",
    ]


def test_what_holds_no_money_is_closed_and_not_written_off():
    cause_case_open(ExceptionKind.GATEWAY_SILENT, Cause("wechat", "SIGN_ERROR"), reason="不再回答")
    case = PaymentException.objects.get()
    with pytest.raises(ActionNotOffered):
        exception_write_off_ask(actor=WANG, exception_id=case.id, reason="x")
    assert (
        exception_close(actor=WANG, exception_id=case.id, resolution="已处理").outcome == "closed"
    )
