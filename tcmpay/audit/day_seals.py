"""The seals of days, from the time before roots were keyed: no more are made, all still hold.

The first keyed root of a chain (``ChainRoot.is_anchor``) binds the newest of them.
"""

import hashlib
from collections.abc import Iterator
from datetime import date, timedelta

from django.utils.translation import gettext as _

from tcmpay.audit.models import ChainSeal
from tcmpay.audit.seals import Chain, Digest, check_roots, digest_between
from tcmpay.common import clock
from tcmpay.common.invariants import Scope, Violation


def root_of(previous_root: str, chain: str, day: date, digest: Digest) -> str:
    content = f"{previous_root} {chain} {day.isoformat()} {digest.rows} {digest.sha256}"
    return hashlib.sha256(content.encode()).hexdigest()


def check_day_seals(chain: Chain, scope: Scope) -> Iterator[Violation]:
    """Every sealed day still has exactly the rows that were sealed, and no seal is missing."""
    seals = ChainSeal.objects.using(scope.using).filter(chain=chain.name).order_by("day")
    before: ChainSeal | None = None
    for seal in seals.iterator(chunk_size=500):
        if problem := _seal_problem(seal, before):
            yield _violation(chain, seal.day, problem)
        elif scope.since is None or clock.day_start(seal.day + timedelta(days=1)) > scope.since:
            yield from _check_rows(chain, seal, scope)
        before = seal


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
    start, end = clock.day_start(seal.day), clock.day_start(seal.day + timedelta(days=1))
    now = digest_between(chain, start, end, using=scope.using)
    if now.rows != seal.rows:
        text = _("当天封存 %(sealed)s 条，现有 %(now)s 条") % {"sealed": seal.rows, "now": now.rows}
        yield _violation(chain, seal.day, text)
    elif now.sha256 != seal.rows_sha256:
        yield _violation(chain, seal.day, _("当天的记录与封存时不同"))


def _violation(chain: Chain, day: date, problem: str) -> Violation:
    return Violation(chain.code, "chain_seal", f"{chain.name} {day}", problem)


def newest_day_root(chain: str, *, using: str = "default") -> str:
    seals = ChainSeal.objects.using(using).filter(chain=chain).order_by("-day")
    return seals.values_list("root", flat=True).first() or ""


def check_sealed(chain: Chain, scope: Scope) -> Iterator[Violation]:
    """All that was sealed of a chain, by days and since by hours."""
    yield from check_day_seals(chain, scope)
    yield from check_roots(chain, newest_day_root(chain.name, using=scope.using), scope)
