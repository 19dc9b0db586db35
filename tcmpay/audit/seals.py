"""Sealing a day's chain rows into one root: a tail that is deleted by SQL shows.

Hash chains bind every row to the one before it, but say nothing of rows that are gone from their
ends. So each day's rows are hashed as a whole, and each day's root binds the day before. A root
that somebody wrote down elsewhere (the log has it) vouches for everything before it.
"""

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.db import IntegrityError
from django.db.models import Model, Q
from django.utils.translation import gettext as _

from tcmpay.audit.models import ChainSeal
from tcmpay.common import clock
from tcmpay.common.db import money_unit
from tcmpay.common.invariants import Scope, Violation

logger = logging.getLogger(__name__)

# Rows are dated when they are written and visible when they are committed: a little later.
GRACE = timedelta(minutes=15)
OVERDUE_AFTER = timedelta(hours=24)
CHUNK = 5000


@dataclass(frozen=True, slots=True)
class Chain:
    """A table of chained rows (``created_at``, ``id``, ``hash``) and the invariant it carries."""

    model: type[Model]
    code: str

    @property
    def name(self) -> str:
        return self.model._meta.db_table


@dataclass(frozen=True, slots=True)
class Digest:
    rows: int
    sha256: str


def day_digest(chain: Chain, day: date, *, using: str = "default") -> Digest:
    """The count and the hash of a day's rows (Asia/Shanghai), in the order they were written."""
    start, end = clock.day_start(day), clock.day_start(day + timedelta(days=1))
    rows = (
        chain.model._default_manager.using(using)
        .filter(created_at__gte=start, created_at__lt=end)
        .order_by("created_at", "id")
        .values_list("created_at", "id", "hash")
    )
    content, count, after = hashlib.sha256(), 0, Q()
    while True:
        chunk = list(rows.filter(after)[:CHUNK])
        for _created_at, row_id, row_hash in chunk:
            content.update(f"{row_id} {row_hash}\n".encode())
        count += len(chunk)
        if len(chunk) < CHUNK:
            return Digest(count, content.hexdigest())
        moment, last_id, _hash = chunk[-1]
        after = Q(created_at__gt=moment) | Q(created_at=moment, id__gt=last_id)


def root_of(previous_root: str, chain: str, day: date, digest: Digest) -> str:
    content = f"{previous_root} {chain} {day.isoformat()} {digest.rows} {digest.sha256}"
    return hashlib.sha256(content.encode()).hexdigest()


def days_seal(chain: Chain) -> list[ChainSeal]:
    """Seal every day of the chain that is over and not sealed yet, oldest first."""
    made = []
    for day in _days_due(chain):
        digest = day_digest(chain, day)
        try:
            made.append(_seal(chain.name, day, digest))
        except IntegrityError:
            return made  # another worker seals the same days
    return made


@money_unit
def _seal(chain: str, day: date, digest: Digest) -> ChainSeal:
    previous = ChainSeal.objects.filter(chain=chain).order_by("-day").first()
    previous_root = previous.root if previous else ""
    seal = ChainSeal(
        chain=chain,
        day=day,
        rows=digest.rows,
        rows_sha256=digest.sha256,
        previous_root=previous_root,
        root=root_of(previous_root, chain, day, digest),
        sealed_at=clock.now(),
    )
    seal.save(force_insert=True)
    # The log lies elsewhere: whoever changes the database can't change what was told there.
    logger.info("day_sealed", extra={"chain": chain, "day": day.isoformat(), "root": seal.root})
    return seal


def _days_due(chain: Chain) -> Iterator[date]:
    day = _first_unsealed(chain, "default")
    while day is not None and clock.now() >= _due_at(day):
        yield day
        day += timedelta(days=1)


def _first_unsealed(chain: Chain, using: str) -> date | None:
    sealed = ChainSeal.objects.using(using).filter(chain=chain.name).order_by("-day").first()
    if sealed is not None:
        return sealed.day + timedelta(days=1)
    first = chain.model._default_manager.using(using).order_by("created_at").values("created_at")
    oldest: Any = first.first()
    return clock.business_day(oldest["created_at"]) if oldest else None


def _due_at(day: date) -> Any:
    return clock.day_start(day + timedelta(days=1)) + GRACE


def check_seals(chain: Chain, scope: Scope) -> Iterator[Violation]:
    """Every sealed day still has exactly the rows that were sealed, and no seal is missing."""
    seals = ChainSeal.objects.using(scope.using).filter(chain=chain.name).order_by("day")
    before: ChainSeal | None = None
    for seal in seals.iterator(chunk_size=500):
        if problem := _seal_problem(seal, before):
            yield _violation(chain, seal.day, problem)
        elif scope.since is None or clock.day_start(seal.day + timedelta(days=1)) > scope.since:
            yield from _check_rows(chain, seal, scope)
        before = seal
    due = _first_unsealed(chain, scope.using)
    if due is not None and clock.now() > _due_at(due) + OVERDUE_AFTER:
        yield Violation(
            "E5", "chain_seal", f"{chain.name} {due}", _("应封存的一天尚未封存"), is_unfinished=True
        )


def _seal_problem(seal: ChainSeal, before: ChainSeal | None) -> str:
    if before is not None and seal.day != before.day + timedelta(days=1):
        return _("之前缺少封存记录")
    if seal.previous_root != (before.root if before else ""):
        return _("与前一天的封存记录不衔接")
    digest = Digest(seal.rows, seal.rows_sha256)
    if seal.root != root_of(seal.previous_root, seal.chain, seal.day, digest):
        return _("封存记录被篡改，哈希不符")
    return ""


def _check_rows(chain: Chain, seal: ChainSeal, scope: Scope) -> Iterator[Violation]:
    now = day_digest(chain, seal.day, using=scope.using)
    if now.rows != seal.rows:
        text = _("当天封存 %(sealed)s 条，现有 %(now)s 条") % {"sealed": seal.rows, "now": now.rows}
        yield _violation(chain, seal.day, text)
    elif now.sha256 != seal.rows_sha256:
        yield _violation(chain, seal.day, _("当天的记录与封存时不同"))


def _violation(chain: Chain, day: date, problem: str) -> Violation:
    return Violation(chain.code, "chain_seal", f"{chain.name} {day}", problem)
