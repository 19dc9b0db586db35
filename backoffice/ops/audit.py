"""All rooms' invariants in one run, over one consistent picture of the database."""

import gc
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.db import DatabaseError
from django.db.transaction import atomic
from django.utils.translation import gettext as _

import backoffice.exports.invariants
import backoffice.ops.invariants
import backoffice.today.invariants
import balances.invariants
import config.gateways.invariants
import config.prices.invariants
import payments.day_figures
import payments.invariants
import payments.invariants_days
import payments.invariants_evidence
import payments.invariants_logs
import payments.invariants_seals
import payments.invariants_topups
import reconciliation.invariants
import reconciliation.invariants_closing
import refunds.day_figures
import refunds.invariants
import refunds.invariants_bulks
import refunds.invariants_events
import refunds.invariants_evidence
import refunds.invariants_give_back
import tcmpay.accounts.invariants
import tcmpay.audit.invariants
import webhooks.invariants
from tcmpay.audit.roots import check_root_file
from tcmpay.common.db import is_lost
from tcmpay.common.invariants import Check, Scope, Violation

logger = logging.getLogger(__name__)


def check_configuration(scope: Scope) -> Iterator[Violation]:
    """Prices and gateway configuration; small tables, looked at whole."""
    yield from config.prices.invariants.invariants(using=scope.using)
    yield from config.gateways.invariants.invariants(using=scope.using)


def check_chains(scope: Scope) -> Iterator[Violation]:
    """The chains of the trail that no other check follows."""
    followed = (*payments.invariants.FOLLOWED, *refunds.invariants.FOLLOWED)
    yield from tcmpay.audit.invariants.check_chains(scope, followed)


# Each sealed chain's invariant.
ROOT_CODES = {
    chain.name: chain.code
    for chain in (
        balances.invariants.LEDGER,
        tcmpay.audit.invariants.TRAIL,
        tcmpay.accounts.invariants.SIGN_INS,
        payments.invariants_seals.CALLBACKS,
        payments.invariants_seals.EXCHANGES,
    )
}


def check_roots_kept(_scope: Scope) -> Iterator[Violation]:
    """The roots in AUDIT_ROOT_FILE, where this machine keeps them."""
    yield from check_root_file(settings.AUDIT_ROOT_FILE, ROOT_CODES)


# What takes longest where there is much, the longest first: several processes end together then.
LONGEST: tuple[Check, ...] = (
    payments.invariants.check_orders,
    payments.invariants.check_transactions,
    refunds.invariants.check_refunds,
    balances.invariants.check_ledgers,
    check_chains,
    tcmpay.audit.invariants.check_sealed_trail,
)
CHECKS: tuple[Check, ...] = (
    check_configuration,
    check_chains,
    *balances.invariants.CHECKS,
    *payments.invariants.CHECKS,
    *payments.invariants_days.CHECKS,
    *payments.invariants_evidence.CHECKS,
    *payments.invariants_logs.CHECKS,
    *payments.invariants_seals.CHECKS,
    *payments.invariants_topups.CHECKS,
    *payments.day_figures.CHECKS,
    *refunds.invariants.CHECKS,
    *refunds.invariants_evidence.CHECKS,
    *refunds.invariants_events.CHECKS,
    *refunds.invariants_give_back.CHECKS,
    *refunds.invariants_bulks.CHECKS,
    *refunds.day_figures.CHECKS,
    *reconciliation.invariants.CHECKS,
    *reconciliation.invariants_closing.CHECKS,
    *webhooks.invariants.CHECKS,
    *backoffice.ops.invariants.CHECKS,
    *tcmpay.audit.invariants.CHECKS,
    *tcmpay.accounts.invariants.CHECKS,
    *backoffice.exports.invariants.CHECKS,
    *backoffice.today.invariants.CHECKS,
)


@contextmanager
def consistent_reads() -> Iterator[None]:
    """One snapshot for the whole run: it neither tears nor blocks payments.

    REPEATABLE READ on MariaDB and MySQL, a deferred read transaction on SQLite.
    """
    with atomic(using=settings.SNAPSHOT_DATABASE):
        yield


@contextmanager
def few_collections() -> Iterator[None]:
    """What is there already is not searched for garbage over and over, as rows come by the
    million; and processes that are forked go on sharing it."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def audit(scope: Scope, *more: Check) -> Iterator[tuple[Check, Iterator[Violation]]]:
    """Each check with what it finds, one at a time: broken books may be long."""
    for check in (*CHECKS, *more):
        yield check, to_its_end(check, scope)


def to_its_end(check: Check, scope: Scope) -> Iterator[Violation]:
    """What ``check`` finds; one that trips over a row that it can't read hides no other's word.

    Raises SoftTimeLimitExceeded, DatabaseError: the run ended early, through no fault of the books.
    """
    name = f"{check.__module__}.{check.__qualname__}"
    try:
        yield from check(scope)
    except SoftTimeLimitExceeded:
        raise  # the whole run's time is over, and no book is broken
    except Exception as error:
        if isinstance(error, DatabaseError) and is_lost(error):
            raise  # nothing can be asked any more: the run did not take place
        # What the error says may be what the row says: its class is told, the rest is in the log.
        logger.exception("audit_check_unfinished", extra={"check": name})
        text = _("该项核对未能完成：%(error)s（详见日志 audit_check_unfinished）")
        yield Violation("E9", "audit_check", name, text % {"error": type(error).__name__})
