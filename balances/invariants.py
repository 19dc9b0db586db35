"""The ledger's invariants (L1–L7), checked from the database alone."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, F, Min, Model, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from balances.ledger import MOVES, Figures, entry_verdict
from balances.ledger_rows import LedgerReader, ledger_rows
from balances.models import (
    AdjustmentStatus,
    BalanceAdjustment,
    BalanceTransaction,
    Direction,
    RelatedType,
    UserBalance,
)
from balances.selectors import unadopted_openings
from balances.services import AUDIT_OBJECT
from tcmpay.audit.day_seals import check_sealed
from tcmpay.audit.models import AuditEvent
from tcmpay.audit.row_checks import digests_began, lost_objects, row_problem
from tcmpay.audit.seals import Chain, KeyPeriods
from tcmpay.audit.stories import Story, stories
from tcmpay.common.fields import as_uuid_or_text
from tcmpay.common.invariants import Scope, Violation, batches, in_chunks, rows_in_chunks
from tcmpay.common.money import ZERO, Money

ADJUSTMENT = BalanceAdjustment.AUDIT_OBJECT
ACCOUNTS_BATCH = 1000
# A row and the event that tells of it are written in one unit.
ONE_UNIT = timedelta(minutes=1)
LEDGER = Chain(BalanceTransaction, "L5")


@dataclass(frozen=True, slots=True)
class Ending:
    """Where a user's sound chain ends."""

    user_id: UUID | str
    sequence: int
    figures: Figures
    has_opening: bool
    began_at: datetime
    moved_at: datetime


def check_ledgers(scope: Scope) -> Iterator[Violation]:
    """Every chain is gapless, sound and hashed, and ends at its account (L1–L3, L5, L6)."""
    periods = KeyPeriods(LEDGER.name, using=scope.using)
    for batch in batches(_bare_chains(scope, periods), ACCOUNTS_BATCH):
        yield from (item for item in batch if isinstance(item, Violation))
        yield from _check_accounts(scope, [item for item in batch if isinstance(item, Ending)])


def _bare_chains(scope: Scope, periods: KeyPeriods) -> Iterator[Ending | Violation]:
    """Chains by their bare rows; only what is odd there is looked at closely."""
    read = LedgerReader(periods)
    for user_id, chain in groupby(ledger_rows(scope), key=lambda row: row[0]):
        plain = read.end_of(chain)
        if plain:
            yield Ending(user_id, *plain)
        else:
            whole = BalanceTransaction.objects.using(scope.using).filter(user_id=user_id)
            yield from _chains(whole, periods)


def _chains(
    entries: QuerySet[BalanceTransaction], periods: KeyPeriods
) -> Iterator[Ending | Violation]:
    for user_id, chain in groupby(
        in_chunks(entries, "user_id", "sequence"), key=lambda entry: entry.user_id
    ):
        yield _check_chain(user_id, chain, periods)


def _check_chain(
    user_id: UUID | str, chain: Iterator[BalanceTransaction], periods: KeyPeriods
) -> Ending | Violation:
    figures = Figures(ZERO, ZERO, ZERO, ZERO)
    sequence, previous_hash, openings = 0, "", 0
    began_at: Any = None
    moved_at: Any = None
    for entry in chain:
        began_at, moved_at = began_at or entry.created_at, entry.created_at
        openings += entry.related_type == RelatedType.OPENING
        problem = _entry_problem(entry, sequence + 1, figures, openings)
        problem = problem or _hash_problem(entry, previous_hash, periods)
        if problem:
            # The first broken row is the one to look at: what follows is broken by it.
            return _violation(problem[0], user_id, f"balance_transactions: {problem[1]}")
        figures = figures.moved(entry.transaction_type, entry.amount)
        sequence, previous_hash = entry.sequence, entry.hash
    return Ending(user_id, sequence, figures, openings > 0, began_at, moved_at)


def _entry_problem(
    entry: BalanceTransaction, sequence: int, before: Figures, openings: int
) -> tuple[str, str] | None:
    where = {"id": entry.id, "no": entry.sequence}
    if entry.transaction_type not in MOVES:
        return "L1", _("第 %(no)s 条流水 %(id)s：类型未知") % where
    after = before.moved(entry.transaction_type, entry.amount)
    if entry.sequence != sequence:
        return "L3", _("流水 %(id)s：序号应为连续，缺少第 %(no)s 条之前的记录") % where
    if (entry.balance_before, entry.frozen_before) != (before.balance, before.frozen):
        return "L3", _("第 %(no)s 条流水 %(id)s：变动前余额与上一条不衔接") % where
    if (entry.balance_after, entry.frozen_after) != (after.balance, after.frozen):
        return "L1", _("第 %(no)s 条流水 %(id)s：变动后余额与金额不符") % where
    if after.balance < 0 or after.frozen < 0 or entry.amount <= 0:
        return "L2", _("第 %(no)s 条流水 %(id)s：余额为负") % where
    if entry.related_type == RelatedType.OPENING and sequence > openings:
        return "L6", _("第 %(no)s 条流水 %(id)s：期初流水不在最前") % where
    return None


def _hash_problem(
    entry: BalanceTransaction, previous_hash: str, periods: KeyPeriods
) -> tuple[str, str] | None:
    where: dict[str, object] = {"id": entry.id, "no": entry.sequence}
    if entry.previous_hash != previous_hash:
        return "L5", _("第 %(no)s 条流水 %(id)s：内容被篡改，哈希不符") % where
    if problem := periods.problem(entry_verdict(entry), entry.hash, entry.created_at):
        where["problem"] = problem
        return "L5", _("第 %(no)s 条流水 %(id)s：%(problem)s") % where
    return None


def _check_accounts(scope: Scope, endings: list[Ending]) -> Iterator[Violation]:
    accounts = {
        str(account.user_id): account
        for account in UserBalance.objects.using(scope.using).filter(
            user_id__in=[ending.user_id for ending in endings]
        )
    }
    for ending in endings:
        yield from _check_account(ending, accounts.get(str(ending.user_id)))


def _check_account(ending: Ending, account: UserBalance | None) -> Iterator[Violation]:
    user_id, ledger = ending.user_id, ending.figures
    if account is None:
        yield _violation("L3", user_id, _("有余额流水而没有余额账户"))
        return
    if account.sequence != ending.sequence:
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
    if account.created_at > ending.began_at + ONE_UNIT:
        yield _violation("E9", user_id, _("账户的创建时间晚于第一条流水"))
    if account.updated_at not in (ending.moved_at, account.opening_adopted_at):
        yield _violation("E9", user_id, _("账户的更新时间不是最后一条流水的时间"))
    if _gap(account) != 0:
        yield _violation("L1", user_id, _("余额＋冻结 ≠ 累计收入－累计支出"))
    totals = (account.total_income, account.total_expense)
    # What was moved before the opening is known by its difference only.
    if not ending.has_opening and totals != (ledger.income, ledger.expense):
        yield _violation("L1", user_id, _("累计收入或累计支出与流水合计不符"))


def check_accounts_without_entries(scope: Scope) -> Iterator[Violation]:
    """Accounts that say they have moved but have no ledger (L3), and impossible figures (L2)."""
    accounts = UserBalance.objects.using(scope.using)
    known = BalanceTransaction.objects.using(scope.using).values("user_id")
    for account in in_chunks(accounts.filter(sequence__gt=0).exclude(user_id__in=known), "id"):
        yield _violation("L3", account.user_id, _("账户有序号而没有任何流水"))
    untouched = accounts.filter(sequence=0, balance=0, frozen_balance=0)
    for account in in_chunks(untouched.exclude(total_income=F("total_expense")), "id"):
        yield _violation("L1", account.user_id, _("余额＋冻结 ≠ 累计收入－累计支出"))
    negative = Q(balance__lt=0) | Q(frozen_balance__lt=0)
    for account in in_chunks(accounts.filter(negative), "id"):
        yield _violation("L2", account.user_id, _("余额为负"))


def check_facts(scope: Scope) -> Iterator[Violation]:
    """One business fact, one entry (L4); the database's UNIQUE says so too."""
    fact = ("related_id", "related_type", "transaction_type", "occasion")
    repeated = (
        BalanceTransaction.objects.using(scope.using)
        .values(*fact)
        .annotate(entries=Count("id"), user=Min("user_id"))
        .filter(entries__gt=1)
        .order_by(*fact)
    )
    for found in repeated:
        yield _violation(
            "L4",
            found["user"],
            _("同一业务 %(type)s %(id)s 有多条同类流水")
            % {"type": found["related_type"], "id": found["related_id"]},
        )


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


def check_adopted(scope: Scope) -> Iterator[Violation]:
    """Who accepted a balance that was put in by SQL, and why, is in the trail (L6)."""
    adopted = UserBalance.objects.using(scope.using).exclude(opening_adopted_at=None)
    for batch in batches(in_chunks(adopted, "id"), ACCOUNTS_BATCH):
        told = dict(
            AuditEvent.objects.using(scope.using)
            .filter(
                object_type=AUDIT_OBJECT,
                object_id__in=[str(account.user_id) for account in batch],
                action="opening_adopted",
            )
            .values_list("object_id", "created_at")
        )
        for account in batch:
            moment = told.get(str(account.user_id))
            if moment is None:
                yield _violation("L6", account.user_id, _("期初余额已确认，但没有确认记录"))
            elif abs(account.opening_adopted_at - moment) > ONE_UNIT:
                yield _violation("E9", account.user_id, _("期初确认时间与审计记录不一致"))


def check_user_ids(scope: Scope) -> Iterator[Violation]:
    """Accounts whose user is not a UUID can't be reached by anybody: a notice."""
    for row in rows_in_chunks(scope, table="user_balances", columns=("id", "user_id")):
        if not all(isinstance(as_uuid_or_text(text), UUID) for text in row):
            yield Violation(
                code="L6",
                object_type="balance",
                object_id=str(row[1]),
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
    began = digests_began(scope.using)
    for batch in batches(in_chunks(adjustments, "id"), ACCOUNTS_BATCH):
        ids = [adjustment.id for adjustment in batch]
        entries: dict[UUID, list[BalanceTransaction]] = defaultdict(list)
        for entry in BalanceTransaction.objects.using(scope.using).filter(
            related_type=RelatedType.ADJUSTMENT, related_id__in=ids
        ):
            entries[entry.related_id].append(entry)
        told = stories(scope.using, ADJUSTMENT, ids)
        for adjustment in batch:
            story = told.get(str(adjustment.id))
            problems = (
                ("L7", _adjustment_problem(adjustment, entries[adjustment.id])),
                ("E9", _adjustment_trail_problem(adjustment, story, began)),
            )
            for code, problem in problems:
                if problem:
                    yield Violation(code, ADJUSTMENT, str(adjustment.id), problem)
    yield from lost_objects(scope, ADJUSTMENT, BalanceAdjustment)


def _adjustment_trail_problem(
    adjustment: BalanceAdjustment, story: Story | None, began: datetime | None
) -> str:
    if problem := row_problem(adjustment, story, began):
        return problem
    if story and (story.state, story.born_by) != (adjustment.status, adjustment.requested_by):
        return _("余额调整的状态或申请人与审计记录不一致")
    return ""


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
    is_of_one = Q(related_type=RelatedType.ADJUSTMENT, transaction_type__in=Direction.values)
    text = _("流水 %(id)s 没有对应的余额调整")
    yield from entries_of_nothing(scope, is_of_one, BalanceAdjustment, code="L7", text=text)


def entries_of_nothing(
    scope: Scope, of_the_kind: Q, model: type[Model], *, code: str, text: str
) -> Iterator[Violation]:
    """Entries ``of_the_kind`` whose fact, a row of ``model``, there is not; ``text`` names them by
    ``%(id)s``."""
    entries = BalanceTransaction.objects.using(scope.using).filter(of_the_kind)
    if scope.since is not None:
        entries = entries.filter(created_at__gte=scope.since)
    fact = model._default_manager.using(scope.using).filter(id=OuterRef("related_id"))
    for entry in in_chunks(entries.filter(~Exists(fact)), "id"):
        yield _violation(code, entry.user_id, text % {"id": entry.id})


def _gap(account: UserBalance) -> Money:
    held = account.balance + account.frozen_balance
    return held - (account.total_income - account.total_expense)


def _violation(code: str, user_id: object, message: str) -> Violation:
    return Violation(code=code, object_type="balance", object_id=str(user_id), message=message)


def check_sealed_ledger(scope: Scope) -> Iterator[Violation]:
    """What was sealed of the ledger is still there (L5, E10)."""
    yield from check_sealed(LEDGER, scope)


CHECKS = (
    check_ledgers,
    check_sealed_ledger,
    check_accounts_without_entries,
    check_facts,
    check_openings,
    check_adopted,
    check_user_ids,
    check_adjustments,
    check_adjustment_entries,
)
