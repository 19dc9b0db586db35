"""Addresses that events are sent to: added, given another secret, disabled, enabled."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext as _

from tcmpay.audit.transitions import Cause, row_change, row_insert, transition
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM, Actor
from tcmpay.common.addresses import AddressRefused, ensure_public_url, is_loopback_url
from tcmpay.common.bell import ring
from tcmpay.common.db import columns_write, money_unit
from tcmpay.common.egress import reachable_addresses
from tcmpay.common.sealing import ConfigSecretUnreadable, SealProblem, seal, seal_problem, unseal
from webhooks.errors import (
    EndpointAddressRefused,
    EndpointChanged,
    EndpointExists,
    EndpointNotDisabled,
    EndpointNotEnabled,
    EndpointNotFound,
    EndpointRotating,
    SecretUnreadable,
    TooManyEndpoints,
    UnknownEventType,
)
from webhooks.models import WebhookDelivery, WebhookDispatcher, WebhookEndpoint
from webhooks.outbox import DISPATCH_TASK
from webhooks.signing import new_secret
from webhooks.states import (
    ENDPOINT_TRANSITIONS,
    DeliveryStatus,
    DisabledBecause,
    EndpointStatus,
    EventType,
)

logger = logging.getLogger(__name__)

# Each may have threads of its own while events are delivered.
ENABLED_MAX = 20
# How long a former secret still signs, where nobody said otherwise.
OVERLAP = timedelta(hours=24)
OVERLAP_MAX = timedelta(days=30)
RESOLVE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class NewSecret:
    """An endpoint and its secret, which is shown this once."""

    endpoint: WebhookEndpoint
    secret: str


def endpoint_add(*, actor: Actor, url: str, types: Sequence[str] = ()) -> NewSecret:
    """Send ``types`` of events (none: all) to ``url``, from now on; whether ``actor`` may is the
    caller's to check.

    Raises EndpointAddressRefused, UnknownEventType, EndpointExists, TooManyEndpoints.
    """
    ensure_endpoint_url(url)
    return _add(actor, url, _known(types))


def ensure_endpoint_url(url: str) -> None:
    """Complete, https (with DEBUG off), and not in our own network, as far as can be seen now: it
    is judged again at every connection. Raises EndpointAddressRefused."""
    try:
        ensure_public_url(url, is_loopback_allowed=settings.DEBUG)
    except AddressRefused as error:
        raise EndpointAddressRefused(error.text) from error
    parts = urlsplit(url)
    if parts.scheme != "https" and not (settings.DEBUG and is_loopback_url(url)):
        raise EndpointAddressRefused(_("推送地址必须是 https"))
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        _found, is_cut = reachable_addresses(
            parts.hostname or "",
            port,
            is_loopback_allowed=settings.DEBUG and is_loopback_url(url),
            seconds=RESOLVE_SECONDS,
        )
    except (OSError, ValueError):
        return  # a name that can't be looked up now may be tomorrow; nothing is sent meanwhile
    if is_cut:
        raise EndpointAddressRefused(_("这个域名指向内网地址"))


def _known(types: Sequence[str]) -> list[str]:
    for one in types:
        if one not in EventType.values:
            raise UnknownEventType(type=one)
    return [one for one in EventType.values if one in types]


@money_unit
def _add(actor: Actor, url: str, types: list[str]) -> NewSecret:
    # The one row that everybody locks, so that two who add see each other.
    dispatcher = WebhookDispatcher.objects.select_for_update().filter(id=1).first()
    if WebhookEndpoint.objects.filter(url=url).exists():
        raise EndpointExists()
    _ensure_room()
    now, last = clock.now(), dispatcher.last_sequence if dispatcher else 0
    endpoint = WebhookEndpoint(
        url=url,
        types=types,
        reached=last,
        subscribed_after=last,
        created_at=now,
        updated_at=now,
    )
    secret = new_secret()
    endpoint.sealed_secret = seal(secret, endpoint.place("secret"))
    row_insert(endpoint, Cause(actor=actor, action="endpoint_added", details={"url": url}))
    return NewSecret(endpoint, secret)


def _ensure_room() -> None:
    if WebhookEndpoint.objects.enabled().count() >= ENABLED_MAX:
        raise TooManyEndpoints(most=ENABLED_MAX)


@money_unit
def endpoint_change(
    *, actor: Actor, endpoint_id: UUID, types: Sequence[str], reason: str = ""
) -> WebhookEndpoint:
    """Subscribe to other ``types`` from now on (none: all). Raises EndpointNotFound,
    UnknownEventType."""
    known = _known(types)
    endpoint = endpoint_lock(endpoint_id)
    if endpoint.types != known:
        cause = Cause(
            actor=actor,
            action="endpoint_changed",
            reason=reason,
            details={"types": ",".join(known), "before": ",".join(endpoint.types)},
        )
        changes = {"types": known, "subscribed_after": endpoint.reached}
        row_change(endpoint, cause, **changes, updated_at=clock.now())
    return endpoint


@money_unit
def endpoint_rotate(
    *,
    actor: Actor,
    endpoint_id: UUID,
    overlap: timedelta = OVERLAP,
    reason: str = "",
    seen_at: datetime | None = None,
) -> NewSecret:
    """A new secret; the one of now signs beside it for ``overlap`` (zero: none does any more, for
    one that leaked). ``seen_at``: the ``updated_at`` that was decided on. Raises EndpointNotFound,
    EndpointChanged for a form sent twice, EndpointRotating while a former one signs, which the
    receiver may still have.
    """
    endpoint = endpoint_lock(endpoint_id)
    if seen_at is not None and endpoint.updated_at != seen_at:
        raise EndpointChanged()
    now = clock.now()
    secret = new_secret()
    overlap = min(max(overlap, timedelta(0)), OVERLAP_MAX)
    former: dict[str, object] = {"former_sealed_secret": "", "former_until": None}
    if overlap and seal_problem(endpoint.sealed_secret, endpoint.place("secret")) is None:
        if endpoint.former_until is not None and endpoint.former_until > now:
            raise EndpointRotating()
        of_now = unseal(endpoint.sealed_secret, endpoint.place("secret"))
        former = {
            "former_sealed_secret": seal(of_now, endpoint.place("former")),
            "former_until": now + overlap,
        }
    cause = Cause(
        actor=actor,
        action="endpoint_secret_rotated",
        reason=reason,
        details={"overlap_seconds": int(overlap.total_seconds())},
    )
    sealed = seal(secret, endpoint.place("secret"))
    row_change(endpoint, cause, sealed_secret=sealed, updated_at=now, **former)
    return NewSecret(endpoint, secret)


@money_unit
def endpoint_disable(*, actor: Actor, endpoint_id: UUID, reason: str = "") -> WebhookEndpoint:
    """Send it nothing more; what happens meanwhile is kept. Raises EndpointNotFound,
    EndpointNotEnabled."""
    endpoint = endpoint_lock(endpoint_id)
    if not endpoint.is_enabled:
        raise EndpointNotEnabled()
    _disable(endpoint, actor, DisabledBecause.BY_HAND, reason)
    return endpoint


def endpoint_give_up(endpoint: WebhookEndpoint, because: DisabledBecause) -> None:
    """Disable the locked endpoint, loudly: an alarm in the log, a figure in the metrics, and a case
    for staff, none of which goes the way that does not work. Inside the caller's unit."""
    since = endpoint.failing_since
    _disable(endpoint, SYSTEM, because, str(because.label))
    logger.error(
        "webhook_endpoint_disabled",
        extra={
            "endpoint": str(endpoint.id),
            "because": str(because),
            "failing_since": since.isoformat() if since else "",
        },
    )


def _disable(
    endpoint: WebhookEndpoint, actor: Actor, because: DisabledBecause, reason: str
) -> None:
    now = clock.now()
    transition(
        endpoint,
        EndpointStatus.DISABLED,
        table=ENDPOINT_TRANSITIONS,
        cause=Cause(
            actor=actor,
            action="endpoint_disabled",
            reason=reason,
            details={"because": str(because)},
        ),
        disabled_at=now,
        disabled_because=because,
        updated_at=now,
    )


def endpoint_enable(*, actor: Actor, endpoint_id: UUID, reason: str = "") -> WebhookEndpoint:
    """Send to it again, beginning with what it has not got, as far as that is kept.

    Raises EndpointNotFound, EndpointNotDisabled, EndpointAddressRefused, TooManyEndpoints.
    """
    url = WebhookEndpoint.objects.filter(id=endpoint_id).values_list("url", flat=True).first()
    if url is None:
        raise EndpointNotFound()
    ensure_endpoint_url(url)
    endpoint = _enable(actor, endpoint_id, reason)
    ring(DISPATCH_TASK)
    return endpoint


@money_unit
def _enable(actor: Actor, endpoint_id: UUID, reason: str) -> WebhookEndpoint:
    WebhookDispatcher.objects.select_for_update().filter(id=1).first()
    endpoint = endpoint_lock(endpoint_id)
    if endpoint.is_enabled:
        raise EndpointNotDisabled()
    _ensure_room()
    now = clock.now()
    transition(
        endpoint,
        EndpointStatus.ENABLED,
        table=ENDPOINT_TRANSITIONS,
        cause=Cause(actor=actor, action="endpoint_enabled", reason=reason),
        disabled_at=None,
        disabled_because=DisabledBecause.NONE,
        failures=0,
        failing_since=None,
        updated_at=now,
    )
    waiting = WebhookDelivery.objects.filter(endpoint=endpoint, status=DeliveryStatus.PENDING)
    waiting.update(due_at=now, tries=0, lease=None, leased_until=None)
    return endpoint


def endpoint_lock(endpoint_id: UUID) -> WebhookEndpoint:
    """Raises EndpointNotFound."""
    endpoint = WebhookEndpoint.objects.select_for_update().filter(id=endpoint_id).first()
    if endpoint is None:
        raise EndpointNotFound()
    return endpoint


# --- secrets ------------------------------------------------------------------------------------


def endpoint_keys(endpoint: WebhookEndpoint) -> list[str]:
    """The secrets that sign now, the newest first. Raises SecretUnreadable."""
    try:
        keys = [unseal(endpoint.sealed_secret, endpoint.place("secret"))]
        if endpoint.former_until is not None and endpoint.former_until > clock.now():
            keys.append(unseal(endpoint.former_sealed_secret, endpoint.place("former")))
    except ConfigSecretUnreadable as error:
        raise SecretUnreadable() from error
    return keys


SECRETS = {"secret": "sealed_secret", "former": "former_sealed_secret"}


def endpoint_secrets_reseal() -> tuple[int, list[str]]:
    """Seal every secret with the first of CONFIG_ENCRYPTION_KEYS; must run in a transaction.

    Returns how many were sealed, and the endpoints whose secret no configured key opens.
    """
    count, unreadable = 0, []
    for endpoint in WebhookEndpoint.objects.select_for_update().order_by("id"):
        for name, column in SECRETS.items():
            sealed, place = getattr(endpoint, column), endpoint.place(name)
            if not sealed:
                continue
            try:
                columns_write(endpoint, **{column: seal(unseal(sealed, place), place)})
            except ConfigSecretUnreadable:
                unreadable.append(f"webhook_endpoints {endpoint.id} ({name})")
                continue
            count += 1
    return count, unreadable


def endpoint_secrets_misplaced(*, using: str = "default") -> list[tuple[UUID, SealProblem]]:
    """The endpoints whose secret does not open in its row, each with why."""
    found = []
    for endpoint in WebhookEndpoint.objects.using(using).order_by("id"):
        for name, column in SECRETS.items():
            sealed = getattr(endpoint, column)
            # Only a former secret may be missing.
            is_none = not sealed and name == "former"
            problem = None if is_none else seal_problem(sealed, endpoint.place(name))
            if problem:
                found.append((endpoint.id, problem))
    return found
