"""Roots that leave the database: what was kept elsewhere is compared with what is there now.

Each new root goes to the log, to the file AUDIT_ROOT_FILE and to the address AUDIT_ROOT_URL, where
these are set. What could not be told is told by the next root, which binds it.
"""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3
from django.conf import settings
from django.utils.translation import gettext as _
from urllib3.exceptions import HTTPError

from tcmpay.audit.models import ChainRoot, ChainSeal
from tcmpay.audit.seals import AUDIT_OBJECT, Chain, chain_seal
from tcmpay.common.egress import guard
from tcmpay.common.invariants import Scope, Violation

logger = logging.getLogger(__name__)

CALL_SECONDS_MAX = 10.0
LINE_BYTES_MAX = 10_000


@dataclass(frozen=True, slots=True)
class KeptRoot:
    """A root as it stood when it left: by number, or by day from the time of daily seals."""

    chain: str
    name: str
    root: str


def chain_seal_and_tell(chain: Chain) -> ChainRoot | None:
    """Seal what is due and send the root away."""
    root = chain_seal(chain)
    if root is not None:
        _tell(root)
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
    # The log lies elsewhere: whoever changes the database can't change what was told there.
    logger.info("chain_sealed", extra=_facts(root))
    if settings.AUDIT_ROOT_FILE:
        try:
            with Path(settings.AUDIT_ROOT_FILE).open("a", encoding="utf-8") as file:
                file.write(root_line(root) + "\n")
        except OSError as error:
            logger.error("chain_root_not_kept", extra={"to": "file", "reason": error.strerror})
    if settings.AUDIT_ROOT_URL and (problem := _sent(root_line(root))):
        logger.error("chain_root_not_kept", extra={"to": "address", "reason": problem})


def _sent(line: str) -> str:
    """Post one line; why it failed, or ""."""
    pool = guard(urllib3.PoolManager(), is_loopback_allowed=settings.DEBUG)
    try:
        answer = pool.request(
            "POST",
            settings.AUDIT_ROOT_URL,
            body=line.encode(),
            headers={"Content-Type": "application/json"},
            timeout=urllib3.Timeout(total=CALL_SECONDS_MAX),
            retries=False,
            redirect=False,
            preload_content=False,
        )
    except HTTPError as error:
        return type(error).__name__
    answer.close()
    return "" if answer.status < 300 else f"HTTP {answer.status}"


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
    return KeptRoot(str(facts["chain"]), name, str(facts["root"]))


def check_root_file(path: str, codes: Mapping[str, str], scope: Scope) -> Iterator[Violation]:
    """As ``check_kept``, of AUDIT_ROOT_FILE; one that can't be compared is a finding of its own."""
    if not path:
        return
    try:
        with Path(path).open(encoding="utf-8") as file:
            kept = kept_roots(file)
    except (OSError, UnicodeError, RootsUnreadable) as error:
        # Before the first hour is sealed there is nothing to keep.
        if ChainRoot.objects.using(scope.using).filter(is_anchor=False).exists():
            reason = error.strerror if isinstance(error, OSError) else str(error)
            text = _("无法与 AUDIT_ROOT_FILE 中保存的根哈希核对：%(reason)s") % {"reason": reason}
            yield Violation("E10", AUDIT_OBJECT, path, text)
        return
    yield from check_kept(kept, codes, scope)


def check_kept(
    kept: Iterable[KeptRoot], codes: Mapping[str, str], scope: Scope
) -> Iterator[Violation]:
    """Every kept root is in the database as it was; ``codes``: each chain's invariant (E10)."""
    there: dict[tuple[str, str], str] = {}
    for chain, number, root in ChainRoot.objects.using(scope.using).values_list(
        "chain", "number", "root"
    ):
        there[chain, f"#{number}"] = root
    for chain, day, root in ChainSeal.objects.using(scope.using).values_list(
        "chain", "day", "root"
    ):
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
