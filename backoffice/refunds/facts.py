"""What a reviewer has to know before deciding, read at one go for one refund or for many."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from backoffice.site.display import age_text
from payments.given_back import REFUND_KINDS, given_back_otherwise, written_off
from payments.models import PaymentException, PaymentOrder
from payments.states import PaymentMethod
from refunds.models import Refund, RefundApproval, RefundPolicyRule
from refunds.policy import Proposal, active_rules, appointment_time, propose
from refunds.services.approvals import approvals_left
from refunds.services.submission import STOPPED
from refunds.states import AUTOMATIC_CAUSES, RESERVING_STATUSES, RefundStatus
from tcmpay.accounts.selectors import people_names, person_text
from tcmpay.common.money import ZERO, Money
from tcmpay.common.second_person import is_one_of

EARLIER_MAX = 10
SENT_AGAIN_FROM = frozenset({RefundStatus.PROCESSING, RefundStatus.FAILED})
COUNT_MAX = 1000


@dataclass(frozen=True, slots=True)
class Decision:
    """Who decided about a refund, when, what, and with which note."""

    person: str
    at: datetime | None
    text: str
    notes: str


@dataclass(frozen=True, slots=True)
class Share:
    """What other refunds took of a payment, and what they hold of it (yuan)."""

    refunded: Money
    held: Money

    @property
    def taken(self) -> Money:
        return self.refunded + self.held


@dataclass(frozen=True, slots=True)
class Payer:
    """The payer's orders and refunds, counted up to COUNT_MAX, the newest of each shown."""

    paid_orders: int
    refunds_done: int
    refunds_rejected: int
    orders: list[PaymentOrder]
    refunds: list[Refund]


@dataclass(frozen=True, slots=True)
class Approval:
    person: str
    at: datetime
    notes: str


@dataclass(frozen=True)
class Facts:
    """One refund as one reader (a staff user) has to see it."""

    refund: Refund
    share: Share
    open: Money
    proposal: Proposal | None
    approvals: list[Approval]
    requester: str
    decision: Decision | None
    is_own: bool
    has_approved: bool
    # Of the same payment, whose money went back another way, as staff say.
    written_off: list[PaymentException]

    @property
    def age(self) -> str:
        return age_text(self.refund.created_at)

    @property
    def place(self) -> str:
        return money_place(self.refund)

    @property
    def is_pending(self) -> bool:
        return self.refund.status == RefundStatus.PENDING

    @property
    def hindrances(self) -> list[str]:
        """Why the reader can't approve it: the same rules that the service enforces."""
        found = []
        if not self.is_pending:
            found.append(_("已有决定，当前状态：%(state)s") % {"state": self.refund.state_text})
        elif self.is_own:
            found.append(_("您自己的申请或退给您自己的款项，须由另一位审核人处理"))
        elif self.has_approved:
            found.append(_("您已批准，还需另一位审核人"))
        elif self.refund.refund_amount > self.refund.transaction.amount - self.share.refunded:
            found.append(_("超过该支付剩余的可退金额"))
        return found

    @property
    def can_decide(self) -> bool:
        return self.is_pending and not self.is_own and not self.has_approved

    @property
    def approvals_left(self) -> int:
        """How many more people have to approve it, as things stand now."""
        payment = self.refund.transaction
        return approvals_left(self.refund, payment.refund_reserved, len(self.approvals))

    @property
    def is_second_step(self) -> bool:
        return self.is_pending and bool(self.approvals)

    @property
    def remarks(self) -> list[str]:
        """What the reader should know, none of which hinders."""
        found = []
        if self.is_pending and self.approvals_left > 1:
            found.append(_("需双人审批：批准后还需另一位审核人"))
        if self.is_second_step and not self.has_approved:
            found.append(_("%(person)s 已批准，您是第二位") % {"person": self.approvals[0].person})
        if self.proposal is not None and self.proposal.excess:
            found.append(
                _("比规则可退多 %(amount)s 元") % {"amount": f"{self.proposal.excess:,.2f}"}
            )
        if self.is_pending and self.written_off:
            text = _("这笔支付有退款的差错已核销（%(amount)s 元），款项可能已另行退还，请先核对")
            found.append(text % {"amount": sum(case.amount or ZERO for case in self.written_off)})
        return found

    @property
    def is_time_from_payer(self) -> bool:
        """Whether the payer wrote the appointment's time that the rules go by."""
        order = self.refund.order
        return self.appointment_at is not None and order.created_by == order.user_id

    @property
    def appointment_at(self) -> datetime | None:
        return appointment_time(self.refund.order.metadata)


def facts_of(refund: Refund, reader: Any) -> Facts:
    return facts_of_many([refund], reader)[0]


def facts_of_many(refunds: Sequence[Refund], reader: Any) -> list[Facts]:
    """The facts about ``refunds`` (with order and transaction) in a handful of queries."""
    shares = _shares(refunds)
    approvals = _approvals(refunds)
    rules = active_rules()
    payments = {refund.transaction_id for refund in refunds}
    cases = list(written_off(*REFUND_KINDS).filter(transaction__in=payments))
    people = people_names(
        person for refund in refunds for person in (refund.requested_by, refund.reviewed_by)
    )
    return [
        Facts(
            refund=refund,
            share=shares[refund.pk],
            open=refund.transaction.amount - refund.transaction.refund_reserved,
            proposal=_proposal(refund, shares[refund.pk], rules),
            approvals=[approval for _key, approval in approvals.get(refund.pk, [])],
            requester=requester_text(refund, people),
            decision=decision_of(refund, people),
            is_own=is_one_of(reader.as_actor(), refund.requested_by, refund.user_id),
            has_approved=any(key == reader.pk for key, _a in approvals.get(refund.pk, [])),
            written_off=[case for case in cases if case.transaction_id == refund.transaction_id],
        )
        for refund in refunds
    ]


def _proposal(refund: Refund, share: Share, rules: Iterable[RefundPolicyRule]) -> Proposal | None:
    """Only what waits for a decision needs a proposal."""
    if refund.status != RefundStatus.PENDING:
        return None
    return propose(refund, taken=share.taken, rules=rules)


def _shares(refunds: Sequence[Refund]) -> dict[UUID, Share]:
    """For each refund, what the other refunds of its payment took and hold."""
    others: dict[UUID, list[tuple[UUID, str, Money]]] = {}
    rows = Refund.objects.filter(
        transaction_id__in={refund.transaction_id for refund in refunds},
        status__in=RESERVING_STATUSES,
    ).values_list("transaction_id", "id", "status", "refund_amount")
    for payment, key, status, amount in rows:
        others.setdefault(payment, []).append((key, status, amount))
    return {refund.pk: _share(refund, others.get(refund.transaction_id, [])) for refund in refunds}


def _share(refund: Refund, rows: Iterable[tuple[UUID, str, Money]]) -> Share:
    refunded = held = ZERO
    for key, status, amount in rows:
        if key == refund.pk:
            continue
        if status == RefundStatus.SUCCESS:
            refunded += amount
        else:
            held += amount
    return Share(refunded, held)


def _approvals(refunds: Sequence[Refund]) -> dict[UUID, list[tuple[UUID, Approval]]]:
    rows = list(
        RefundApproval.objects.filter(refund_id__in=[refund.pk for refund in refunds]).order_by(
            "created_at"
        )
    )
    names = people_names(row.reviewer_id for row in rows)
    found: dict[UUID, list[tuple[UUID, Approval]]] = {}
    for row in rows:
        person = person_text(row.reviewer_id, names=names)
        approval = Approval(person, row.created_at, row.notes)
        found.setdefault(row.refund_id, []).append((row.reviewer_id, approval))
    return found


def requester_text(refund: Refund, names: dict[object, str] | None = None) -> str:
    if refund.requested_by is None and refund.cause in AUTOMATIC_CAUSES:
        return _("系统自动")
    if refund.requested_by == refund.user_id:
        return _("用户本人")
    return person_text(refund.requested_by, names=names)


def decision_of(refund: Refund, names: dict[object, str] | None = None) -> Decision | None:
    """The decision about a refund; None while it waits, or when nobody reviewed it."""
    if refund.status == RefundStatus.PENDING or refund.reviewed_by is None:
        return None
    is_rejected = refund.status == RefundStatus.CANCELLED
    return Decision(
        person=person_text(refund.reviewed_by, names=names),
        at=refund.reviewed_at,
        text=_("驳回") if is_rejected else _("批准"),
        notes=refund.review_notes or _("无"),
    )


def payer_of(refund: Refund) -> Payer:
    """The payer's history beside this refund."""
    orders = PaymentOrder.objects.filter(user_id=refund.user_id)
    others = Refund.objects.filter(user_id=refund.user_id).exclude(pk=refund.pk)
    return Payer(
        paid_orders=_count(orders.exclude(payment_time=None)),
        refunds_done=_count(others.filter(status=RefundStatus.SUCCESS)),
        refunds_rejected=_count(
            others.filter(status=RefundStatus.CANCELLED).exclude(reviewed_by=None)
        ),
        orders=list(orders.order_by("-created_at", "-id")[:EARLIER_MAX]),
        refunds=list(others.order_by("-created_at", "-id")[:EARLIER_MAX]),
    )


def _count(rows: Any) -> int:
    return int(rows.order_by()[:COUNT_MAX].count())


def money_place(refund: Refund) -> str:
    """In plain words, where a refund's money is."""
    if refund.status == RefundStatus.PENDING:
        return _("还没有退：等待审核，金额已为这笔申请预留。")
    is_handled = given_back_otherwise(refund.pk, refund.transaction_id).exists
    if refund.status in SENT_AGAIN_FROM and is_handled():
        return _("差错已核销或正在申请核销：款项视为已另行退还，这笔退款不会再发送。请勿再次退还。")
    if refund.status == RefundStatus.PROCESSING and refund.stopped_by is not None:
        return _("已停止发送：网关答复没有这笔退款之后才释放，在那之前仍为它留着。请勿另行退款。")
    if refund.short_since is not None:
        return _(
            "没有退出：商户账户余额不足，充值后自动用原单号再试，金额仍为它留着。请勿另行退款。"
        )
    if refund.status == RefundStatus.PROCESSING:
        return _("正在网关处理：请勿另行退款，结果会自动更新。")
    if refund.status == RefundStatus.SUCCESS:
        is_balance = refund.transaction.payment_method == PaymentMethod.BALANCE
        return _("已退回用户余额。") if is_balance else _("已由网关原路退回。")
    if refund.status == RefundStatus.FAILED and refund.error_code == STOPPED:
        return _("没有退：已停止发送，网关没有这笔退款，预留的金额已释放。需要时可重试。")
    if refund.status == RefundStatus.FAILED:
        return _("没有退：网关拒绝了这笔退款，处理原因后可重试。")
    return _("没有退：申请已驳回或撤回，预留的金额已释放。")


@dataclass
class MethodSum:
    """How many refunds of one way of paying, and how much together (yuan)."""

    name: str
    count: int = 0
    amount: Money = field(default=ZERO)


def sums_by_method(refunds: Iterable[Refund]) -> list[MethodSum]:
    """Sums for a preview, in the order of the methods; the last one is of all together."""
    sums = {str(method): MethodSum(str(method.label)) for method in PaymentMethod}
    total = MethodSum(_("合计"))
    for refund in refunds:
        for one in (sums[refund.transaction.payment_method], total):
            one.count += 1
            one.amount += refund.refund_amount
    return [*(one for one in sums.values() if one.count), total]
