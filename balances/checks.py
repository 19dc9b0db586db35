"""The ledger's invariants (L1–L7), checked from the database alone."""

from collections.abc import Iterator
from itertools import groupby
from uuid import UUID

from django.db.models import Q
from django.utils.translation import gettext as _

from balances.ledger import Figures, entry_hash
from balances.models import (
    AdjustmentStatus,
    BalanceAdjustment,
    BalanceTransaction,
    Direction,
    RelatedType,
    UserBalance,
)
from balances.selectors import unadopted_openings
from tcmpay.common.invariants import Scope, Violation, in_chunks
from tcmpay.common.money import ZERO, Money


def check_ledgers(scope: Scope) -> Iterator[Violation]:
    """Every chain is gapless, sound and hashed, and ends at its account (L1–L3, L5, L6)."""
    entries = BalanceTransaction.objects.using(scope.using).all()
    if scope.since is not None:
        moved = entries.filter(created_at__gte=scope.since).values("user_id").distinct()
        entries = entries.filter(user_id__in=moved)
    for user_id, chain in groupby(
        in_chunks(entries, "user_id", "sequence"), key=lambda entry: entry.user_id
    ):
        yield from _check_chain(scope, user_id, chain)


def _check_chain(
    scope: Scope, user_id: UUID, chain: Iterator[BalanceTransaction]
) -> Iterator[Violation]:
    figures = Figures(ZERO, ZERO, ZERO, ZERO)
    sequence, previous_hash = 0, ""
    for entry in chain:
        problem = _entry_problem(entry, sequence + 1, figures, previous_hash)
        if problem:
            # The first broken row is the one to look at: what follows is broken by it.
            yield _violation(problem[0], user_id, problem[1])
            return
        figures = figures.moved(entry.transaction_type, entry.amount)
        sequence, previous_hash = entry.sequence, entry.hash
    yield from _check_account(scope, user_id, sequence, figures)


def _entry_problem(
    entry: BalanceTransaction, sequence: int, before: Figures, previous_hash: str
) -> tuple[str, str] | None:
    after = before.moved(entry.transaction_type, entry.amount)
    where = {"id": entry.id, "no": entry.sequence}
    if entry.sequence != sequence:
        return "L3", _("流水 %(id)s：序号应为连续，缺少第 %(no)s 条之前的记录") % where
    if (entry.balance_before, entry.frozen_before) != (before.balance, before.frozen):
        return "L3", _("第 %(no)s 条流水 %(id)s：变动前余额与上一条不衔接") % where
    if (entry.balance_after, entry.frozen_after) != (after.balance, after.frozen):
        return "L1", _("第 %(no)s 条流水 %(id)s：变动后余额与金额不符") % where
    if after.balance < 0 or after.frozen < 0:
        return "L2", _("第 %(no)s 条流水 %(id)s：余额为负") % where
    if entry.previous_hash != previous_hash or entry.hash != entry_hash(entry):
        return "L5", _("第 %(no)s 条流水 %(id)s：内容被篡改，哈希不符") % where
    return None


def _check_account(
    scope: Scope, user_id: UUID, sequence: int, ledger: Figures
) -> Iterator[Violation]:
    account = UserBalance.objects.using(scope.using).filter(user_id=user_id).first()
    if account is None:
        yield _violation("L3", user_id, _("有余额流水而没有余额账户"))
        return
    if account.sequence != sequence:
        yield _violation("L3", user_id, _("账户序号与最后一条流水不一致"))
    if (account.balance, account.frozen_balance) != (ledger.balance, ledger.frozen):
        yield _violation(
            "L1",
            user_id,
            _("账户余额 %(held)s / 冻结 %(frozen)s 与流水合计 %(sum)s / %(sum_frozen)s 不符")
            % {
                "held": account.balance,
                "frozen": account.frozen_balance,
                "sum": ledger.balance,
                "sum_frozen": ledger.frozen,
            },
        )
    if _gap(account) != 0:
        yield _violation("L1", user_id, _("余额＋冻结 ≠ 累计收入－累计支出"))


def check_accounts_without_entries(scope: Scope) -> Iterator[Violation]:
    """Accounts that say they have moved but have no ledger (L3), and impossible figures (L2)."""
    accounts = UserBalance.objects.using(scope.using)
    known = BalanceTransaction.objects.using(scope.using).values("user_id")
    for account in in_chunks(accounts.filter(sequence__gt=0).exclude(user_id__in=known), "id"):
        yield _violation("L3", account.user_id, _("账户有序号而没有任何流水"))
    negative = Q(balance__lt=0) | Q(frozen_balance__lt=0)
    for account in in_chunks(accounts.filter(negative), "id"):
        yield _violation("L2", account.user_id, _("余额为负"))


def check_facts(scope: Scope) -> Iterator[Violation]:
    """One business fact, one entry (L4); the database's UNIQUE says so too."""
    seen: tuple[object, ...] | None = None
    entries = BalanceTransaction.objects.using(scope.using).only(
        "related_id", "related_type", "transaction_type", "user_id", "id"
    )
    for entry in in_chunks(entries, "related_id", "related_type", "transaction_type", "id"):
        fact = (entry.related_id, entry.related_type, entry.transaction_type)
        if fact == seen:
            yield _violation(
                "L4",
                entry.user_id,
                _("同一业务 %(type)s %(id)s 有多条同类流水")
                % {"type": entry.related_type, "id": entry.related_id},
            )
        seen = fact


def check_openings(scope: Scope) -> Iterator[Violation]:
    """Balances put in by SQL that staff have not accepted yet: a notice, not a violation."""
    for account in in_chunks(unadopted_openings().using(scope.using), "id"):
        yield Violation(
            code="L6",
            object_type="balance",
            object_id=str(account.user_id),
            message=_(
                "由 SQL 写入的余额 %(balance)s 元尚未确认（manage.py adopt_opening_balances）"
            )
            % {"balance": account.balance},
            is_notice=True,
        )


def check_user_ids(scope: Scope) -> Iterator[Violation]:
    """Accounts whose user is not a UUID can't be reached by anybody: a notice."""
    for account in in_chunks(UserBalance.objects.using(scope.using).all(), "id"):
        if not isinstance(account.user_id, UUID) or not isinstance(account.id, UUID):
            yield Violation(
                code="L6",
                object_type="balance",
                object_id=str(account.user_id),
                message=_("用户编号或记录编号不是 UUID，任何人都无法使用该余额，请改正"),
                is_notice=True,
            )


def check_adjustments(scope: Scope) -> Iterator[Violation]:
    """An executed adjustment has exactly one entry, that it asked for; others have none (L7)."""
    adjustments = BalanceAdjustment.objects.using(scope.using).all()
    if scope.since is not None:
        adjustments = adjustments.filter(
            Q(created_at__gte=scope.since) | Q(decided_at__gte=scope.since)
        )
    for adjustment in in_chunks(adjustments, "id"):
        entries = list(
            BalanceTransaction.objects.using(scope.using).filter(
                related_type=RelatedType.ADJUSTMENT, related_id=adjustment.id
            )[:2]
        )
        if problem := _adjustment_problem(adjustment, entries):
            yield Violation("L7", "balance_adjustment", str(adjustment.id), problem)


def _adjustment_problem(
    adjustment: BalanceAdjustment, entries: list[BalanceTransaction]
) -> str | None:
    if adjustment.status != AdjustmentStatus.APPROVED:
        return _("没有执行的余额调整却有流水") if entries else None
    if len(entries) != 1:
        return _("已执行的余额调整应正好有一条流水，实有 %(number)d 条") % {"number": len(entries)}
    entry = entries[0]
    booked = (entry.user_id, entry.transaction_type, entry.amount)
    if booked != (adjustment.user_id, adjustment.direction, adjustment.amount):
        return _("余额调整与它的流水不一致")
    if adjustment.decided_by in (None, adjustment.requested_by, adjustment.user_id):
        return _("余额调整没有经过第二人")
    return None


def check_adjustment_entries(scope: Scope) -> Iterator[Violation]:
    """Money that came or went as an adjustment has the adjustment that says why (L7)."""
    entries = BalanceTransaction.objects.using(scope.using).filter(
        related_type=RelatedType.ADJUSTMENT, transaction_type__in=Direction.values
    )
    if scope.since is not None:
        entries = entries.filter(created_at__gte=scope.since)
    known = BalanceAdjustment.objects.using(scope.using).values("id")
    for entry in in_chunks(entries.exclude(related_id__in=known), "id"):
        yield _violation(
            "L7", entry.user_id, _("流水 %(id)s 没有对应的余额调整") % {"id": entry.id}
        )


def _gap(account: UserBalance) -> Money:
    held = account.balance + account.frozen_balance
    return held - (account.total_income - account.total_expense)


def _violation(code: str, user_id: object, message: str) -> Violation:
    return Violation(code=code, object_type="balance", object_id=str(user_id), message=message)


CHECKS = (
    check_ledgers,
    check_accounts_without_entries,
    check_facts,
    check_openings,
    check_user_ids,
    check_adjustments,
    check_adjustment_entries,
)
