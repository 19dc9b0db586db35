"""What must always be true of events and their way (E3).

Sequences have no gap and rise with the versions of an object; each enabled endpoint has, delivered
or on its way, every event that it subscribed to; nothing that is due waits. What counts as
delivered was: the log has the answer.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db.models import Exists, F, OuterRef, Q
from django.utils.translation import gettext as _

from tcmpay.audit.row_checks import lost_objects, row_problem
from tcmpay.audit.stories import stories
from tcmpay.common import clock
from tcmpay.common.invariants import Scope, Violation, in_chunks, rows_in_chunks
from webhooks.models import WebhookDelivery, WebhookEndpoint, WebhookEvent, WebhookTry
from webhooks.selectors import last_sequence
from webhooks.services.purging import KEPT
from webhooks.states import DeliveryStatus

NUMBERED_WITHIN = timedelta(minutes=5)
TRIED_WITHIN = timedelta(minutes=15)
# What the purge may be deleting while we look.
LEEWAY = timedelta(days=1)


def check_sequences(scope: Scope) -> Iterator[Violation]:
    kept_from = clock.now() - KEPT + LEEWAY
    before, newest = 0, last_sequence(scope.using)
    for number, moment, event_id in _numbered(scope):
        # What is past its time goes one by one: an endpoint may still be owed an older one.
        if number != before + 1 and before and moment >= kept_from:
            text = _("序号 %(from)s 与 %(to)s 之间缺少事件") % {"from": before, "to": number}
            yield _violation(event_id, text)
        before = number
    if before > newest:
        yield _violation(str(before), _("序号大于已发出的最新序号"))
    elif before and before < newest:
        yield _violation(str(newest), _("最新序号的事件不存在"))


def _numbered(scope: Scope) -> Iterator[tuple[int, datetime, str]]:
    events = WebhookEvent.objects.using(scope.using).filter(sequence__isnull=False)
    for event in in_chunks(events.only("sequence", "created_at"), "sequence"):
        yield event.sequence, event.created_at, str(event.id)


def check_order(scope: Scope) -> Iterator[Violation]:
    """The events of an object are numbered in the order of its versions."""
    columns = ("object_id", "object_version", "object_type", "sequence")
    before: dict[str, int | None] = {}
    current = ""
    for object_id, version, object_type, number in rows_in_chunks(
        scope, table="webhook_events", columns=columns, keys=3
    ):
        if object_id != current:
            current, before = object_id, {}
        former = before.get(object_type, 0)
        if number is not None and (former is None or number <= former):
            yield _violation(f"{object_id} v{version}", _("事件的序号没有按对象版本递增"))
        before[object_type] = number


def check_planned(scope: Scope) -> Iterator[Violation]:
    """No enabled endpoint lacks an event that it subscribed to."""
    for endpoint in WebhookEndpoint.objects.using(scope.using).filter(status="enabled"):
        planned = WebhookDelivery.objects.using(scope.using).filter(
            endpoint_id=endpoint.id, event=OuterRef("pk")
        )
        missing = WebhookEvent.objects.using(scope.using).filter(
            ~Exists(planned),
            sequence__gt=endpoint.subscribed_after,
            sequence__lte=endpoint.reached,
        )
        if endpoint.types:
            missing = missing.filter(type__in=endpoint.types)
        for event_id in missing.order_by("sequence").values_list("id", flat=True)[:1000]:
            text = _("推送地址 %(url)s 缺少这个事件的投递") % {"url": endpoint.url}
            yield _violation(str(event_id), text)


def check_endpoints(scope: Scope) -> Iterator[Violation]:
    """Each endpoint is as its trail tells, and has got no further than there are events."""
    rows = list(WebhookEndpoint.objects.using(scope.using).order_by("id"))
    told = stories(scope.using, WebhookEndpoint.AUDIT_OBJECT, [row.id for row in rows])
    newest = last_sequence(scope.using)
    for row in rows:
        if problem := row_problem(row, told.get(str(row.id)), None):
            yield Violation("E9", WebhookEndpoint.AUDIT_OBJECT, str(row.id), problem)
        if row.reached > newest:
            text = _("推送地址安排到的序号大于已发出的最新序号")
            yield Violation("E3", WebhookEndpoint.AUDIT_OBJECT, str(row.id), text)
    yield from lost_objects(scope, WebhookEndpoint.AUDIT_OBJECT, WebhookEndpoint)


def check_deliveries(scope: Scope) -> Iterator[Violation]:
    """Each is of its event; and one that ended did so by a try that the log has."""
    deliveries = WebhookDelivery.objects.using(scope.using)
    if scope.since is not None:
        deliveries = deliveries.filter(created_at__gte=scope.since)
    moved = deliveries.exclude(sequence=F("event__sequence"), object_id=F("event__object_id"))
    for delivery in moved.order_by("id")[:1000]:
        text = _("投递的序号或对象与事件不符")
        yield Violation("E3", "webhook_delivery", str(delivery.id), text)
    last = WebhookTry.objects.filter(
        delivery=OuterRef("pk"), endpoint=OuterRef("endpoint"), tried_at=OuterRef("ended_at")
    )
    success = Q(http_status__gte=200, http_status__lt=300, problem="")
    for status, told in (
        (DeliveryStatus.DELIVERED, last.filter(success)),
        (DeliveryStatus.FAILED, last.exclude(success)),
    ):
        untold = deliveries.filter(~Exists(told), status=status)
        for delivery in untold.order_by("id")[:1000]:
            text = _("投递记为%(status)s，日志里没有那一次的应答")
            text %= {"status": DeliveryStatus(status).label}
            yield Violation("E3", "webhook_delivery", str(delivery.id), text)


def check_unfinished(scope: Scope) -> Iterator[Violation]:
    """Work past its time, and what was given up."""
    now = clock.now()
    late = WebhookEvent.objects.using(scope.using).filter(
        sequence=None, created_at__lt=now - NUMBERED_WITHIN
    )
    for event_id in late.order_by("id").values_list("id", flat=True)[:1000]:
        text = _("事件超过 %(minutes)s 分钟没有编号") % {"minutes": 5}
        yield Violation("E5", "webhook_event", str(event_id), text, is_unfinished=True)
    deliveries = WebhookDelivery.objects.using(scope.using)
    overdue = deliveries.filter(
        status=DeliveryStatus.PENDING,
        due_at__lt=now - TRIED_WITHIN,
        endpoint__status="enabled",
        # One that fails is called one at a time, so that others wait by their number.
        endpoint__failures=0,
    )
    for delivery in overdue.order_by("due_at")[:1000]:
        text = _("事件到了投递时间却没有尝试")
        yield Violation("E5", "webhook_delivery", str(delivery.id), text, is_unfinished=True)
    given_up = deliveries.filter(status=DeliveryStatus.FAILED, endpoint__status="enabled")
    for delivery in given_up.order_by("sequence")[:1000]:
        text = _("事件试了十次没有送到，已放弃；接收方修好后可重新推送")
        yield Violation("E3", "webhook_delivery", str(delivery.id), text, is_notice=True)


def _violation(name: str, text: str) -> Violation:
    return Violation("E3", "webhook_event", name, text)


CHECKS = (
    check_sequences,
    check_order,
    check_planned,
    check_endpoints,
    check_deliveries,
    check_unfinished,
)
