"""The first payments after a gateway's configuration was changed: whether any of them works.

A test proves keys, and an order over one fen the AppID; only payers prove the rest.
"""

import logging
from dataclasses import dataclass
from datetime import timedelta

from django.core.cache import cache

from config.models import GatewayMethod, PaymentConfigVersion
from gateways.interface import Scene
from payments.models import GatewayExchange, PaymentTransaction
from payments.selectors import begun_since
from payments.states import ExchangeKind, ExchangeOutcome, TransactionStatus, TransactionType
from tcmpay.common import clock

logger = logging.getLogger(__name__)

WATCHED_FOR = timedelta(days=7)
ATTEMPTS_WATCHED = 20
FAILING_MIN = 3
ALARM_EVERY_SECONDS = 3600
# Alipay's are only signed by us: that nothing refused them says nothing.
_SIGNED_ONLY = frozenset({Scene.PAGE, Scene.WAP, Scene.APP})


@dataclass(frozen=True, slots=True)
class ActivationFailing:
    """A configuration in force with which no payment has worked yet, though some were tried."""

    method: GatewayMethod
    version: int
    earlier: int | None  # the version to go back to
    attempts: int
    code: str  # the gateway's last word


def activations_failing() -> list[ActivationFailing]:
    """Configurations in force for at most WATCHED_FOR whose first payments all fail.

    A payment works when the gateway answered it, or any question about it; it fails when the
    gateway refused or nothing that it answered could be verified.
    """
    found = [_failing(method) for method in GatewayMethod]
    return [failing for failing in found if failing is not None]


def _failing(method: GatewayMethod) -> ActivationFailing | None:
    versions = PaymentConfigVersion.objects.filter(payment_method=method).order_by("-number")
    running = versions.filter(retired_at=None, activated_at__gte=clock.now() - WATCHED_FOR).first()
    if running is None:
        return None
    attempts = list(
        PaymentTransaction.objects.filter(
            begun_since(running.activated_at),
            payment_method=method,
            transaction_type=TransactionType.PAYMENT,
            config_version_id=running.id,
            is_mock=False,
        )
        .order_by("id")
        .values_list("id", "scene", "status")[:ATTEMPTS_WATCHED]
    )
    if len(attempts) < FAILING_MIN:
        return None
    if any(status == TransactionStatus.SUCCESS for _id, _scene, status in attempts):
        return None
    signed_only = {
        attempt_id
        for attempt_id, scene, _status in attempts
        if method == GatewayMethod.ALIPAY and scene in _SIGNED_ONLY
    }
    exchanges = list(
        GatewayExchange.objects.filter(
            transaction_id__in=[attempt[0] for attempt in attempts],
            kind__in=(ExchangeKind.CREATE, ExchangeKind.QUERY),
        )
        .order_by("asked_at")
        .values_list("transaction_id", "kind", "outcome", "answer")
    )
    asked = [
        (attempt_id, outcome, answer)
        for attempt_id, kind, outcome, answer in exchanges
        if kind != ExchangeKind.CREATE or attempt_id not in signed_only
    ]
    if any(outcome == ExchangeOutcome.ANSWERED for _id, outcome, _answer in asked):
        return None
    failed = {attempt_id for attempt_id, _outcome, _answer in asked}
    if len(failed) < FAILING_MIN:
        return None
    earlier = versions.filter(number__lt=running.number).values_list("number", flat=True).first()
    return ActivationFailing(
        method=method,
        version=running.number,
        earlier=earlier,
        attempts=len(failed),
        code=asked[-1][2],
    )


def activations_watch() -> int:
    """Raise the alarm in the log, at most hourly for each; how many configurations fail."""
    failing = activations_failing()
    for one in failing:
        if not _is_told(one):
            logger.error(
                "gateway_activation_failing",
                extra={
                    "payment_method": str(one.method),
                    "config_version": one.version,
                    "attempts": one.attempts,
                    "error_code": one.code,
                },
            )
    return len(failing)


def _is_told(failing: ActivationFailing) -> bool:
    name = f"payments:activation-alarm:{failing.method}:{failing.version}"
    try:
        return not cache.add(name, 1, ALARM_EVERY_SECONDS)
    except Exception:
        # Whatever the cache's trouble is: an alarm too many is better than none.
        return False
