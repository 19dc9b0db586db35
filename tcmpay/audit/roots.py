"""Roots that leave the database: what was kept elsewhere is compared with what is there now.

Each new root goes to the log, to the file AUDIT_ROOT_FILE and to the address AUDIT_ROOT_URL, where
these are set. What could not be told is tried again at every look at the chain until the next root
is there, which binds it.
"""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import certifi
import urllib3
from django.conf import settings
from django.utils.translation import gettext as _
from urllib3.exceptions import HTTPError

from tcmpay.audit.models import ChainRoot, ChainSeal
from tcmpay.audit.seals import AUDIT_OBJECT, Chain, chain_seal
from tcmpay.common import clock
from tcmpay.common.call_bounds import bounded, tls_context
from tcmpay.common.egress import guard
from tcmpay.common.invariants import Scope, Violation

logger = logging.getLogger(__name__)

CALL_SECONDS_MAX = 10.0
ANSWER_BYTES_MAX = 20_000
# Looked at every ten minutes: half an hour is three tries.
TELL_WITHIN = timedelta(minutes=30)
LINE_BYTES_MAX = 10_000
# What was kept of the last hour, a copy of the database need not have yet.
SEALED_WITHIN = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class KeptRoot:
    """A root as it stood when it left: by number, or by day from the time of daily seals."""

    chain: str
    name: str
    root: str
    until: datetime | None = None


# Where roots go: the column that says when, the setting that names the place.
PLACES = {"filed_at": "AUDIT_ROOT_FILE", "posted_at": "AUDIT_ROOT_URL"}


def chain_seal_and_tell(chain: Chain) -> ChainRoot | None:
    """Seal what is due and send the newest root to wherever it has not come yet."""
    root = chain_seal(chain)
    if root is not None:
        # The log lies elsewhere: whoever changes the database can't change what was told there.
        logger.info("chain_sealed", extra=_facts(root))
    if newest := newest_root(chain.name):
        _tell(newest)
    return root


def root_line(root: ChainRoot) -> str:
    """One line of JSON, as the file and the address get it and ``audit_money --root`` reads it."""
    return json.dumps(_facts(root))


def _facts(root: ChainRoot) -> dict[str, Any]:
    return {
        "chain": root.chain,
        "number": root.number,
        "until": root.until.isoformat(timespec="seconds"),
        "rows": root.rows,
        "root": root.root,
    }


def _tell(root: ChainRoot) -> None:
    for column, send in (("filed_at", _filed), ("posted_at", _sent)):
        place = getattr(settings, PLACES[column])
        if not place or getattr(root, column) is not None:
            continue
        if problem := send(place, root_line(root)):
            extra = {"to": PLACES[column], "chain": root.chain, "reason": problem}
            logger.error("chain_root_not_kept", extra=extra)
        else:
            ChainRoot.objects.filter(id=root.id).update(**{column: clock.now()})


def _filed(path: str, line: str) -> str:
    """Append one line; why it failed, or ""."""
    try:
        with Path(path).open("ab") as file:
            start = file.tell()
            try:
                file.write(line.encode() + b"\n")
                file.flush()
            except OSError:
                file.truncate(start)  # the next line begins at its beginning
                raise
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""


def _sent(url: str, line: str) -> str:
    """Post one line; why it failed, or ""."""
    pool = guard(
        urllib3.PoolManager(ssl_context=tls_context(certifi.where())),
        is_loopback_allowed=settings.DEBUG,
    )
    try:
        with bounded(seconds=CALL_SECONDS_MAX, bytes_max=ANSWER_BYTES_MAX):
            answer = pool.request(
                "POST",
                url,
                body=line.encode(),
                headers={"Content-Type": "application/json"},
                retries=False,
                redirect=False,
                preload_content=False,
            )
            answer.close()
    except (HTTPError, OSError, ValueError) as error:
        return type(error).__name__
    return "" if 200 <= answer.status < 300 else f"HTTP {answer.status}"


def roots_not_told(using: str = "default") -> list[ChainRoot]:
    """The newest roots that have not come to where they are to be kept, past the time for it."""
    places = [column for column, name in PLACES.items() if getattr(settings, name)]
    newest = (newest_root(chain, using) for chain in _chains(using))
    return [
        root
        for root in newest
        if root is not None
        and root.sealed_at < clock.now() - TELL_WITHIN
        and any(getattr(root, column) is None for column in places)
    ]


def newest_root(chain: str, using: str = "default") -> ChainRoot | None:
    return ChainRoot.objects.using(using).filter(chain=chain).order_by("-number").first()


def _chains(using: str) -> list[str]:
    chains = ChainRoot.objects.using(using).order_by("chain").values_list("chain", flat=True)
    return list(chains.distinct())


# --- comparing ------------------------------------------------------------------------------


class RootsUnreadable(Exception):
    """A file of kept roots has a line that is none, or no line at all."""


def kept_roots(lines: Iterable[str]) -> list[KeptRoot]:
    """The roots in lines of AUDIT_ROOT_FILE, of the log, or of ``seal_chains``.

    Lines of a log that tell of something else are passed over. Raises RootsUnreadable.
    """
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            facts = json.loads(line[:LINE_BYTES_MAX])
            kept = _kept(facts)
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            raise RootsUnreadable(_("第 %(number)d 行不是根哈希") % {"number": number}) from error
        if kept is not None:
            found.append(kept)
    if not found:
        raise RootsUnreadable(_("其中没有根哈希"))
    return found


def _kept(facts: Any) -> KeptRoot | None:
    if not {"chain", "root"} <= facts.keys():
        return None
    name = f"#{int(facts['number'])}" if "number" in facts else str(facts["day"])
    until = datetime.fromisoformat(facts["until"]) if "until" in facts else None
    return KeptRoot(str(facts["chain"]), name, str(facts["root"]), until)


def kept_by(kept: Iterable[KeptRoot], as_of: datetime | None) -> Iterator[KeptRoot]:
    """Those that a database of that moment has (None: of now): an hour is sealed after its end."""
    for one in kept:
        if as_of is None or one.until is None or one.until <= as_of - SEALED_WITHIN:
            yield one


def check_roots_told(scope: Scope) -> Iterator[Violation]:
    """The newest root of each chain is where it is to be kept (E10)."""
    for root in roots_not_told(scope.using):
        text = _("根哈希尚未送到 AUDIT_ROOT_FILE 或 AUDIT_ROOT_URL")
        yield Violation("E10", AUDIT_OBJECT, str(root), text, is_unfinished=True)


def check_root_file(
    path: str, codes: Mapping[str, str], as_of: datetime | None = None
) -> Iterator[Violation]:
    """As ``check_kept``, of AUDIT_ROOT_FILE; one that can't be compared is a finding of its own."""
    if not path:
        return
    try:
        with Path(path).open(encoding="utf-8") as file:
            kept = kept_roots(file)
    except (OSError, UnicodeError, RootsUnreadable) as error:
        # Before the first hour is sealed there is nothing to keep.
        if ChainRoot.objects.filter(is_anchor=False).exists():
            reason = error.strerror if isinstance(error, OSError) else str(error)
            text = _("无法与 AUDIT_ROOT_FILE 中保存的根哈希核对：%(reason)s") % {"reason": reason}
            yield Violation("E10", AUDIT_OBJECT, path, text)
        return
    yield from check_kept(kept_by(kept, as_of), codes)


def check_kept(kept: Iterable[KeptRoot], codes: Mapping[str, str]) -> Iterator[Violation]:
    """Every kept root is in the database as it was; ``codes``: each chain's invariant (E10).

    Read from the primary as it is now: a root is kept once it was committed there, and a replica,
    or a snapshot from before, need not have it yet.
    """
    there: dict[tuple[str, str], str] = {}
    for chain, number, root in ChainRoot.objects.values_list("chain", "number", "root"):
        there[chain, f"#{number}"] = root
    for chain, day, root in ChainSeal.objects.values_list("chain", "day", "root"):
        there[chain, day.isoformat()] = root
    for one in kept:
        now = there.get((one.chain, one.name))
        if now == one.root:
            continue
        text = (
            _("保存在外的根哈希在数据库中不存在：之后的记录已被删除或数据库被还原")
            if now is None
            else _("与保存在外的根哈希不同：封存记录被重新生成")
        )
        yield Violation(codes.get(one.chain, "E10"), AUDIT_OBJECT, f"{one.chain} {one.name}", text)
