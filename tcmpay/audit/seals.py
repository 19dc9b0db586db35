"""Sealing what was written into keyed roots: rows that are taken away or made anew by SQL show.

Hash chains bind every row to the one before it, but say nothing of rows that are gone from their
ends. So every hour the rows that came since are hashed as a whole, and a root under a key binds
that hash, the root before and its own number. The trail keeps each root too, and each leaves the
database (``tcmpay.audit.roots``): a root that was kept elsewhere vouches for everything before it.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Max, Model, Q
from django.utils.translation import gettext as _

from tcmpay.audit.bare_rows import bare_moment, moment_column
from tcmpay.audit.macs import (
    UNKEYED,
    Verdict,
    canonical,
    chain_mac,
    chain_mac_verdict,
    current_key_id,
    key_id_of,
)
from tcmpay.audit.models import AuditEvent, ChainRoot
from tcmpay.audit.services import audit_record
from tcmpay.audit.upgrade import RESTART_LEEWAY, newest_upgrade
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM
from tcmpay.common.db import money_unit
from tcmpay.common.invariants import Scope, Violation, rows_in_chunks

AUDIT_OBJECT = "chain_seal"
MAC_KIND = "chain_root"
# Rows are dated when they are written and visible when they are committed: a little later.
GRACE = timedelta(minutes=15)
OVERDUE_AFTER = timedelta(hours=24)
CHUNK = 5000

Row = tuple[datetime, object, str]


@dataclass(frozen=True, slots=True)
class Chain:
    """A table of hashed rows, read by ``moment`` and ``id``, and the invariant it carries.

    ``hashed``: the column that binds what a row says. ``kept_for``: where old rows are deleted,
    after how long.
    """

    model: type[Model]
    code: str
    kept_for: timedelta | None = None
    moment: str = "created_at"
    hashed: str = "hash"

    @property
    def name(self) -> str:
        return self.model._meta.db_table


@dataclass(frozen=True, slots=True)
class Digest:
    rows: int
    sha256: str


class KeyPeriods:
    """Until when the rows of one chain may stand under each former key, or under none.

    A key's time ends with the first root under another: what was written before is in it. So a
    former key that became known makes no row that is believed.
    """

    def __init__(self, chain: str, *, using: str = "default") -> None:
        roots = ChainRoot.objects.using(using).filter(chain=chain).order_by("number")
        self._current = current_key_id()
        self._prefix = f"{self._current}."
        self._begun: dict[str, datetime] = {}
        self._unkeyed_until: datetime | None = None
        for root, sealed_at, is_anchor in roots.values_list("root", "sealed_at", "is_anchor"):
            self._begun.setdefault(key_id_of(root), sealed_at)
            if is_anchor:
                upgrade = newest_upgrade(using)
                ended_at = max(sealed_at, upgrade.ended_at) if upgrade else sealed_at
                self._unkeyed_until = ended_at + RESTART_LEEWAY

    def problem(self, verdict: Verdict, stored: str, created_at: datetime) -> str:
        """What is wrong with a digest that was looked at; "" when nothing is."""
        key_id = key_id_of(stored)
        if verdict is Verdict.HOLDS and key_id == self._current:
            return ""
        if verdict is Verdict.WRONG:
            return _("内容被篡改，哈希不符")
        if verdict is Verdict.KEY_MISSING:
            return _("摘要所用的密钥 %(key)s 不在 AUDIT_CHAIN_KEYS 中，无法核对") % {"key": key_id}
        if not self._is_in_time(key_id, created_at):
            return _("摘要没有用当时的密钥生成")
        return ""

    def is_plain(self, stored: str) -> bool:
        """Whether the digest is under the key of now, which needs no look at the time."""
        return stored.startswith(self._prefix)

    def _is_in_time(self, key_id: str, created_at: datetime) -> bool:
        if key_id == UNKEYED:
            return self._unkeyed_until is not None and created_at < self._unkeyed_until
        end = self._end(key_id)
        return end is None or created_at < end + RESTART_LEEWAY

    def _end(self, key_id: str) -> datetime | None:
        began = self._begun.get(key_id)
        if began is None:
            return self._begun.get(self._current)
        return min((moment for moment in self._begun.values() if moment > began), default=None)


# --- sealing --------------------------------------------------------------------------------


def chain_seal(chain: Chain) -> ChainRoot | None:
    """Seal what the chain got since its newest root, up to the last full hour; None: nothing due.

    An hour in which nothing was written is sealed too, once there are roots.
    """
    last = ChainRoot.objects.filter(chain=chain.name).order_by("-number").first()
    until = _due_until()
    if last is not None and last.until >= until:
        return None
    digest = digest_between(chain, last.until if last else None, until)
    if last is None and digest.rows == 0:
        return None
    try:
        return _seal(chain.name, last, until, digest)
    except IntegrityError:
        return None  # another worker seals the same hour


@money_unit
def _seal(chain: str, last: ChainRoot | None, until: datetime, digest: Digest) -> ChainRoot:
    # Where roots were taken away by SQL the numbers go on: the gap stays to be seen.
    told = _newest_event(chain, "default")
    number = max(last.number if last else 0, told.details["number"] if told else 0) + 1
    root = ChainRoot(
        chain=chain,
        number=number,
        until=until,
        rows=digest.rows,
        rows_sha256=digest.sha256,
        previous_root=last.root if last else "",
        sealed_at=clock.now(),
    )
    root.root = chain_mac(MAC_KIND, root_content(root))
    root.save(force_insert=True)
    audit_record(
        object_type=AUDIT_OBJECT,
        object_id=chain,
        action="chain_sealed",
        actor=SYSTEM,
        details={"number": number, "rows": digest.rows, "root": root.root},
    )
    return root


def anchor_write(root_model: Any, row_model: Any, previous_root: str, chain: str) -> None:
    """The first keyed root of a chain that has rows already: it binds all that was unkeyed.

    Its number goes on where roots went with their table, as the release was taken back. For
    migrations, which hand over the models of their moment.
    """
    if not row_model.objects.exists():
        return
    events = root_model._meta.apps.get_model("audit", "AuditEvent").objects
    told = events.filter(object_type=AUDIT_OBJECT, object_id=chain).order_by("-version").first()
    # What is being written at this moment, by the former version, is left to the next root.
    until = clock.now() - timedelta(minutes=1)
    digest = digest_between(Chain(row_model, code=""), None, until)
    root = root_model(
        chain=chain,
        number=(told.details["number"] if told else 0) + 1,
        until=until,
        rows=digest.rows,
        rows_sha256=digest.sha256,
        previous_root=previous_root,
        sealed_at=clock.now(),
        is_anchor=True,
    )
    root.root = chain_mac(MAC_KIND, root_content(root))
    root.save(force_insert=True)


def root_content(root: Any) -> bytes:
    content = [
        root.chain,
        root.number,
        clock.utc_text(root.until),
        root.rows,
        root.rows_sha256,
        root.previous_root,
        clock.utc_text(root.sealed_at),
        root.is_anchor,
    ]
    return canonical(content)


def digest_between(
    chain: Chain, start: datetime | None, end: datetime, *, using: str = "default"
) -> Digest:
    """The count and the hash of the rows from ``start`` to before ``end``, as they were written."""
    hashed = _Hashed()
    for row in _rows(chain, start, end, using):
        hashed.add(row)
    return hashed.digest()


class _Hashed:
    def __init__(self) -> None:
        self._content, self._count = hashlib.sha256(), 0

    def add(self, row: Row) -> None:
        self._content.update(f"{row[1]} {row[2]}\n".encode())
        self._count += 1

    def digest(self) -> Digest:
        return Digest(self._count, self._content.hexdigest())


def _rows(chain: Chain, start: datetime | None, end: datetime, using: str) -> Iterator[Row]:
    moment = chain.moment
    rows = (
        chain.model._default_manager.using(using)
        .filter(**{f"{moment}__lt": end})
        .order_by(moment, "id")
        .values_list(moment, "id", chain.hashed)
    )
    after = Q() if start is None else Q(**{f"{moment}__gte": start})
    while True:
        chunk: list[Row] = list(rows.filter(after)[:CHUNK])
        yield from chunk
        if len(chunk) < CHUNK:
            return
        written_at, last_id, _hash = chunk[-1]
        after = Q(**{f"{moment}__gt": written_at}) | Q(**{moment: written_at, "id__gt": last_id})


def _bare_rows(chain: Chain, start: datetime | None, scope: Scope) -> Iterator[tuple[Any, ...]]:
    """The same rows as they lie there, to the end of the table."""
    return rows_in_chunks(
        scope,
        table=chain.name,
        columns=(moment_column(scope.using, chain.moment), "id", chain.hashed),
        keys=2,
        order=(chain.moment, "id"),
        where="" if start is None else f"{chain.moment} >= %s",
        values=() if start is None else (bare_moment(start),),
        size=CHUNK,
    )


def _due_until() -> datetime:
    moment = clock.now() - GRACE
    return moment.replace(minute=0, second=0, microsecond=0)


def _newest_event(chain: str, using: str) -> AuditEvent | None:
    events = AuditEvent.objects.using(using).filter(object_type=AUDIT_OBJECT, object_id=chain)
    return events.order_by("-version").first()


# --- comparing ------------------------------------------------------------------------------


def check_roots(chain: Chain, previous_root: str, scope: Scope) -> Iterator[Violation]:
    """What was sealed is there as it was, no root is missing, and none is overdue.

    ``previous_root``: what the anchor of a chain that had seals of days must bind.
    """
    periods = KeyPeriods(chain.name, using=scope.using)
    roots = list(ChainRoot.objects.using(scope.using).filter(chain=chain.name).order_by("number"))
    before: ChainRoot | None = None
    for root in roots:
        binds = before.root if before else previous_root if root.is_anchor else ""
        if problem := _root_problem(root, before, binds, periods):
            yield _violation(chain, root.number, problem)
        before = root
    yield from _check_rows(chain, roots, scope)
    yield from _check_told(chain, before, scope)
    yield from _check_overdue(chain, before, scope)


def _root_problem(
    root: ChainRoot, before: ChainRoot | None, binds: str, periods: KeyPeriods
) -> str:
    # An anchor, which nobody makes without the key, may follow roots that are gone.
    is_first = root.number == 1 or root.is_anchor
    if not is_first if before is None else root.number != before.number + 1:
        return _("之前缺少封存记录")
    if root.previous_root != binds or (before is not None and root.until <= before.until):
        return _("与上一条封存记录不衔接")
    if key_id_of(root.root) == UNKEYED:
        return _("封存记录被篡改，哈希不符")
    verdict = chain_mac_verdict(MAC_KIND, root_content(root), root.root)
    return periods.problem(verdict, root.root, root.sealed_at)


def _check_rows(chain: Chain, roots: list[ChainRoot], scope: Scope) -> Iterator[Violation]:
    """One look at all rows in the order of writing, compared root by root."""
    begun_after = clock.now() - chain.kept_for + timedelta(days=1) if chain.kept_for else None
    start = begins = None
    due: list[ChainRoot] = []
    for root in roots:
        is_old = scope.since is not None and root.until <= scope.since
        # The first root may reach back to rows past their time.
        is_gone = begun_after is not None and (begins is None or begins < begun_after)
        if is_old or is_gone:
            start = root.until
        else:
            due.append(root)
        begins = root.until
    if not due:
        return
    rows = _bare_rows(chain, start, scope)
    row = next(rows, None)
    for root in due:
        hashed, until = _Hashed(), bare_moment(root.until)
        while row is not None and row[0] < until:
            hashed.add(row)
            row = next(rows, None)
        now = hashed.digest()
        if now != Digest(root.rows, root.rows_sha256):
            now = digest_between(chain, start, root.until, using=scope.using)
        if problem := _rows_problem(root, now):
            yield _violation(chain, root.number, f"{problem}{_between(start, root.until)}")
        start = root.until


def _rows_problem(root: ChainRoot, now: Digest) -> str:
    if now.rows != root.rows:
        text = _("封存时 %(sealed)s 条，现有 %(now)s 条")
        return text % {"sealed": root.rows, "now": now.rows}
    return "" if now.sha256 == root.rows_sha256 else _("记录与封存时不同")


def _between(start: datetime | None, end: datetime) -> str:
    """Where to look, in Shanghai's time."""
    begun = start.astimezone(clock.SHANGHAI).strftime("%Y-%m-%d %H:%M") if start else ""
    return f" ({begun} – {end.astimezone(clock.SHANGHAI):%Y-%m-%d %H:%M})"


def _check_told(chain: Chain, newest: ChainRoot | None, scope: Scope) -> Iterator[Violation]:
    """The newest root is the one that the trail tells of."""
    event = _newest_event(chain.name, scope.using)
    told = (event.details.get("number"), event.details.get("root")) if event else None
    is_there = (newest.number, newest.root) if newest else None
    if newest and newest.is_anchor:
        is_sound = (told[0] if told else 0) == newest.number - 1
    else:
        is_sound = told == is_there
    if not is_sound:
        number = (told or is_there or (0,))[0]
        yield _violation(chain, number, _("封存记录与审计记录所述的最新一条不同"))


def _check_overdue(chain: Chain, newest: ChainRoot | None, scope: Scope) -> Iterator[Violation]:
    sealed_until = newest.until if newest else _begun(chain, scope.using)
    if sealed_until is not None and _due_until() > sealed_until + OVERDUE_AFTER:
        where = f"{chain.name} {sealed_until.astimezone(clock.SHANGHAI):%Y-%m-%d %H:%M}"
        text = _("应封存的记录尚未封存")
        yield Violation("E5", AUDIT_OBJECT, where, text, is_unfinished=True)


def _begun(chain: Chain, using: str) -> datetime | None:
    """Since when there is something to seal: rows are older than the release that seals them."""
    rows = chain.model._default_manager.using(using).order_by(chain.moment)
    oldest: datetime | None = rows.values_list(chain.moment, flat=True).first()
    steps = MigrationRecorder.Migration.objects.using(using)
    released = steps.filter(app=chain.model._meta.app_label).aggregate(at=Max("applied"))["at"]
    return max(oldest, released) if oldest and released else oldest


def _violation(chain: Chain, number: object, problem: str) -> Violation:
    return Violation(chain.code, AUDIT_OBJECT, f"{chain.name} #{number}", problem)
