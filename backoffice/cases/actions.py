"""What each button of the exceptions desk does: data, so that the page and the server agree."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from payments.errors import ActionNotOffered
from payments.models import PaymentException
from payments.services.exceptions import (
    exception_assign,
    exception_claim,
    exception_close,
    exception_record,
    exception_release,
    exception_write_off_ask,
)
from payments.services.matching import exception_match, exception_query
from payments.states import EXCEPTION_ACTIONS, ExceptionAction, ExceptionKind
from reconciliation.services.mending import bill_case_match, bill_case_query
from reconciliation.states import CASE_KINDS
from refunds.models import Refund
from refunds.permissions import REVIEW_PERMISSION
from refunds.services.cases import case_give_back, case_refund, case_retry, case_write_off_decide
from refunds.services.funds import funds_retry
from refunds.services.own_cases import is_retryable
from refunds.states import RefundStatus
from tcmpay.accounts.selectors import person_text, staff_who_may
from tcmpay.common.actor import Actor
from tcmpay.common.errors import Forbidden

CLOSE_PERMISSION = "payments.close_exception"
ASSIGN_PERMISSION = "payments.assign_exception"
WRITE_OFF_PERMISSION = "payments.write_off_exception"

# What somebody asks for: who, about which case, and the fields of the form.
Run = Callable[[Actor, UUID, Mapping[str, Any]], str]


@dataclass(frozen=True)
class DeskAction:
    """One button: who may press it, what it asks for, what it says, what it does."""

    permissions: tuple[str, ...]
    run: Run
    title: Any = ""
    explanation: Any = ""
    needs_reason: bool = True
    needs_order: bool = False
    is_final: bool = False

    def is_allowed(self, user: Any) -> bool:
        return bool(user.has_perms(self.permissions))


def _claim(actor: Actor, case_id: UUID, _fields: Mapping[str, Any]) -> str:
    exception_claim(actor=actor, exception_id=case_id)
    return _("这项差错现在由您负责。")


def _release(actor: Actor, case_id: UUID, _fields: Mapping[str, Any]) -> str:
    exception_release(actor=actor, exception_id=case_id)
    return _("已放回，其他人可以认领。")


def _assign(actor: Actor, case_id: UUID, fields: Mapping[str, Any]) -> str:
    people = staff_who_may(CLOSE_PERMISSION)
    owner = fields.get("owner")
    if not isinstance(owner, UUID) or owner not in people:
        raise Forbidden()
    exception_assign(actor=actor, exception_id=case_id, owner_id=owner)
    return _("已交给%(person)s。") % {"person": people[owner]}


def _give_back(actor: Actor, case_id: UUID, fields: Mapping[str, Any]) -> str:
    _ensure_no_refund_running(case_id)
    refund = case_give_back(actor=actor, exception_id=case_id, reason=fields["reason"])
    text = _("退款 %(number)s（%(amount)s 元）已提交，到账后差错自动了结。")
    return text % {"number": refund.refund_no, "amount": refund.refund_amount}


def _retry(actor: Actor, case_id: UUID, fields: Mapping[str, Any]) -> str:
    if PaymentException.objects.filter(id=case_id, kind=ExceptionKind.ACCOUNT_SHORT).exists():
        count = funds_retry(actor=actor, exception_id=case_id, reason=fields["reason"])
        return _("等待充值的 %(number)d 笔退款会马上用原单号再试。") % {"number": count}
    refund = case_retry(actor=actor, exception_id=case_id, reason=fields["reason"])
    text = _("退款 %(number)s 已用原单号重新提交，退款成功后差错自动了结。")
    return text % {"number": refund.refund_no}


def _query(actor: Actor, case_id: UUID, fields: Mapping[str, Any]) -> str:
    ask = bill_case_query if _is_of_bill(case_id) else exception_query
    case = ask(actor=actor, exception_id=case_id, reason=fields["reason"])
    if case.closed_at is not None:
        return _("网关已有结果，差错已了结：%(text)s") % {"text": case.resolution}
    return _("已查询网关：没有新的结果，差错仍待处理。")


def _match(actor: Actor, case_id: UUID, fields: Mapping[str, Any]) -> str:
    match = bill_case_match if _is_of_bill(case_id) else exception_match
    case = match(
        actor=actor,
        exception_id=case_id,
        order_no=fields["order_no"],
        reason=fields["reason"],
    )
    number = case.order.order_no if case.order else ""
    return _("网关已确认，款项已入账到订单 %(number)s。") % {"number": number}


def _is_of_bill(case_id: UUID) -> bool:
    """Whether a bill tells of the case: then its day is compared again afterwards."""
    return PaymentException.objects.filter(id=case_id, kind__in=CASE_KINDS.values()).exists()


def _write_off(actor: Actor, case_id: UUID, fields: Mapping[str, Any]) -> str:
    _ensure_no_refund_running(case_id)
    exception_write_off_ask(actor=actor, exception_id=case_id, reason=fields["reason"])
    return _("已申请核销，等待另一人确认。")


def _confirm(actor: Actor, case_id: UUID, fields: Mapping[str, Any]) -> str:
    _ensure_no_refund_running(case_id)
    case_write_off_decide(
        actor=actor, exception_id=case_id, is_confirmed=True, notes=fields.get("reason") or ""
    )
    return _("已确认核销，差错已结束。")


def _decline(actor: Actor, case_id: UUID, fields: Mapping[str, Any]) -> str:
    case_write_off_decide(
        actor=actor, exception_id=case_id, is_confirmed=False, notes=fields["reason"]
    )
    return _("核销申请已取消，差错仍待处理。")


def _close(actor: Actor, case_id: UUID, fields: Mapping[str, Any]) -> str:
    exception_close(actor=actor, exception_id=case_id, resolution=fields["reason"])
    return _("已记录处理结果，差错已关闭。")


def _record(actor: Actor, case_id: UUID, fields: Mapping[str, Any]) -> str:
    exception_record(actor=actor, exception_id=case_id, resolution=fields["reason"])
    return _("已按账单记录，差错已结束。")


CLAIM, RELEASE, ASSIGN = "claim", "release", "assign"
CONFIRM, DECLINE = "confirm", "decline"
_A = ExceptionAction
DESK_ACTIONS: dict[str, DeskAction] = {
    CLAIM: DeskAction((CLOSE_PERMISSION,), _claim, needs_reason=False),
    RELEASE: DeskAction((CLOSE_PERMISSION,), _release, needs_reason=False),
    ASSIGN: DeskAction((ASSIGN_PERMISSION,), _assign, needs_reason=False),
    CONFIRM: DeskAction((WRITE_OFF_PERMISSION,), _confirm, needs_reason=False),
    DECLINE: DeskAction((WRITE_OFF_PERMISSION,), _decline),
    _A.REFUND: DeskAction(
        (CLOSE_PERMISSION, REVIEW_PERMISSION),
        _give_back,
        gettext_lazy("原路退回"),
        gettext_lazy("把这笔没有用于订单的钱按原支付方式退给付款人，不能撤销。"),
    ),
    _A.RETRY: DeskAction(
        (CLOSE_PERMISSION, REVIEW_PERMISSION),
        _retry,
        gettext_lazy("用原单号重试"),
        gettext_lazy("用同一退款单号再问一次网关，不会重复退款。"),
    ),
    _A.QUERY: DeskAction(
        (CLOSE_PERMISSION,),
        _query,
        gettext_lazy("立即查询网关"),
        gettext_lazy("现在向网关查询这笔支付；网关证明已付且金额相符才会入账。"),
    ),
    _A.MATCH: DeskAction(
        (CLOSE_PERMISSION,),
        _match,
        gettext_lazy("匹配到订单"),
        gettext_lazy("先向网关查询：单号、交易号和金额都相符，且订单待支付、金额相同，才会入账。"),
        needs_order=True,
    ),
    _A.RECORD: DeskAction(
        (CLOSE_PERMISSION,),
        _record,
        gettext_lazy("按账单记录"),
        gettext_lazy("已与网关核实、以账单为准时使用：写明核对结果；不移动款项。"),
    ),
    _A.WRITE_OFF: DeskAction(
        (CLOSE_PERMISSION, WRITE_OFF_PERMISSION),
        _write_off,
        gettext_lazy("申请核销"),
        gettext_lazy(
            "已在别处处理好（如在商户平台原路退回），或不再追查时使用：写明核对结果和措施。须由另一人确认后才结束；只有退回充值的退款，确认时从余额扣除，其他不移动款项。"
        ),
    ),
    _A.CLOSE: DeskAction(
        (CLOSE_PERMISSION,),
        _close,
        gettext_lazy("关闭并说明"),
        gettext_lazy("已在别处处理好时使用：写明核对结果和措施；不移动款项。"),
    ),
}


# As a case of many refunds words it.
FUNDS_RETRY = replace(
    DESK_ACTIONS[_A.RETRY],
    title=gettext_lazy("让等待的退款马上再试"),
    explanation=gettext_lazy("商户账户充值之后使用：等待的退款都用原单号再试，不会重复退款。"),
)


def refund_running(case: PaymentException) -> Refund | None:
    """A refund of the case's money that is on its way: nothing else may be done about it now."""
    is_given_back_here = _A.REFUND in offered_kinds(case)
    if not is_given_back_here and case.kind != ExceptionKind.REFUND_REFUSED:
        return None
    refund = case_refund(case)
    return refund if refund is not None and refund.status == RefundStatus.PROCESSING else None


def _hidden(case: PaymentException) -> set[ExceptionAction]:
    """What the case's refund rules out now: it is on its way, or its money went another way."""
    if refund_running(case) is not None:
        return {_A.REFUND, _A.WRITE_OFF}
    refund = case_refund(case)
    if refund is None or refund.status != RefundStatus.FAILED or is_retryable(refund):
        return set()
    return {_A.REFUND, _A.RETRY}


def offered_kinds(case: PaymentException) -> tuple[ExceptionAction, ...]:
    return EXCEPTION_ACTIONS.get(case.kind, (ExceptionAction.CLOSE,))


def offered(case: PaymentException, user: Any) -> list[tuple[str, DeskAction]]:
    """The actions that ``user`` may take about the case as it stands now."""
    if case.closed_at is not None or case.is_waiting:
        return []
    if case.owner_id is not None and case.owner_id != user.pk:
        return []
    hidden = _hidden(case)
    is_short = case.kind == ExceptionKind.ACCOUNT_SHORT
    shown = DESK_ACTIONS | {_A.RETRY: FUNDS_RETRY} if is_short else DESK_ACTIONS
    return [
        (str(action), shown[action])
        for action in offered_kinds(case)
        if action not in hidden and DESK_ACTIONS[action].is_allowed(user)
    ]


def _ensure_no_refund_running(case_id: UUID) -> None:
    case = PaymentException.objects.filter(id=case_id).first()
    if case is not None and refund_running(case) is not None:
        raise ActionNotOffered()


def ending_text(case: PaymentException) -> str:
    """How a closed case ended, and by whom."""
    return _("%(person)s：%(outcome)s。%(text)s") % {
        "person": person_text(case.closed_by),
        "outcome": case.get_outcome_display(),
        "text": case.resolution,
    }
