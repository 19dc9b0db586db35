"""Events promised to the platform, where they are sent, and how far they have come."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from tcmpay.common.fields import UtcNow, UUIDTextField, id_field
from tcmpay.common.sealing import Place
from webhooks.states import (
    DeliveryStatus,
    DisabledBecause,
    EndpointStatus,
    EventType,
    TryProblem,
)


class WebhookEvent(models.Model):
    """One thing that happened to one object, written in the same commit as what it tells of.

    ``sequence`` is the dispatcher's (services/dispatch.py), given after the commit, so that a
    reader who goes on from the last one it saw misses none. ``object_version`` is the version that
    the object's audit trail had then. Insert only, but for the sequence.
    """

    id = id_field()
    sequence = models.BigIntegerField(_("序号"), null=True, unique=True)
    type = models.CharField(_("事件"), max_length=32, choices=EventType)
    object_type = models.CharField(_("对象类型"), max_length=16)
    object_id = UUIDTextField(_("对象编号"))
    object_version = models.PositiveIntegerField(_("对象版本"))
    data = models.JSONField(_("内容"), default=dict)
    created_at = models.DateTimeField(_("时间"), db_default=UtcNow())

    class Meta:
        db_table = "webhook_events"
        verbose_name = _("事件")
        verbose_name_plural = _("事件")
        constraints = (
            models.UniqueConstraint(
                fields=("object_id", "object_version", "object_type"),
                name="event_object_version_unique",
            ),
            models.CheckConstraint(condition=Q(type__in=EventType.values), name="event_type_known"),
            models.CheckConstraint(condition=Q(sequence__gte=1), name="event_sequence_positive"),
        )
        indexes = (models.Index(fields=("type", "sequence"), name="event_type_sequence"),)

    def __str__(self) -> str:
        return f"{self.type} {self.object_type} {self.object_id} v{self.object_version}"


class WebhookDispatcher(models.Model):
    """The one row under whose lock sequences are given, and who leads the deliveries.

    ``promised_from``: changes told in the trail before it have no events, as the product knew none
    then (NULL: there was nothing before). ``leader`` is the turn (services/turns.py) that delivers
    until ``leader_until``; ``rung_at`` is when the bell was heard last.
    """

    id = models.PositiveSmallIntegerField(primary_key=True)
    last_sequence = models.BigIntegerField(_("最新序号"), default=0, db_default=0)
    promised_from = models.DateTimeField(_("事件起始时间"), null=True)
    leader = UUIDTextField(null=True)
    leader_until = models.DateTimeField(null=True)
    rung_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "webhook_dispatcher"
        verbose_name = _("事件分发")
        verbose_name_plural = _("事件分发")
        constraints = (
            models.CheckConstraint(condition=Q(id=1), name="dispatcher_is_one"),
            models.CheckConstraint(
                condition=Q(last_sequence__gte=0), name="dispatcher_sequence_positive"
            ),
        )

    def __str__(self) -> str:
        return str(self.last_sequence)


class EndpointQuerySet(models.QuerySet["WebhookEndpoint"]):
    def enabled(self) -> "EndpointQuerySet":
        return self.filter(status=EndpointStatus.ENABLED)

    def disabled_by_itself(self) -> "EndpointQuerySet":
        """Those that nobody disabled by hand."""
        loud = (DisabledBecause.GONE, DisabledBecause.FAILING)
        return self.filter(status=EndpointStatus.DISABLED, disabled_because__in=loud)


class WebhookEndpoint(models.Model):
    """An address of the platform that events are sent to.

    ``types``: what it subscribed to (empty: everything). ``reached``: the events up to this
    sequence have their deliveries, and those after ``subscribed_after`` are of the types of now.
    While a former secret is kept, both sign.
    """

    AUDIT_OBJECT: ClassVar = "webhook_endpoint"
    objects = EndpointQuerySet.as_manager()

    id = id_field()
    url = models.CharField(_("地址"), max_length=1024)
    types = models.JSONField(_("订阅的事件"), default=list)
    status = models.CharField(
        _("状态"),
        max_length=16,
        choices=EndpointStatus,
        default=EndpointStatus.ENABLED,
        db_default=EndpointStatus.ENABLED,
    )
    sealed_secret = models.CharField(max_length=255)
    former_sealed_secret = models.CharField(max_length=255, blank=True, default="", db_default="")
    former_until = models.DateTimeField(_("旧密钥有效至"), null=True, blank=True)
    reached = models.BigIntegerField(_("已安排到的序号"), default=0, db_default=0)
    subscribed_after = models.BigIntegerField(_("订阅自序号"), default=0, db_default=0)
    # Tries since the newest success, all failed, and when the first of them was.
    failures = models.PositiveIntegerField(_("连续失败次数"), default=0, db_default=0)
    failing_since = models.DateTimeField(_("连续失败自"), null=True, blank=True)
    succeeded_at = models.DateTimeField(_("最近成功时间"), null=True, blank=True)
    disabled_at = models.DateTimeField(_("停用时间"), null=True, blank=True)
    disabled_because = models.CharField(
        _("停用原因"),
        max_length=16,
        choices=DisabledBecause,
        blank=True,
        default=DisabledBecause.NONE,
        db_default=DisabledBecause.NONE,
    )
    created_at = models.DateTimeField(_("创建时间"), db_default=UtcNow())
    updated_at = models.DateTimeField(_("更新时间"), db_default=UtcNow())

    # What deliveries move; and seals, which are made anew when keys are rotated.
    UNTOLD_FIELDS = frozenset(
        {
            "reached",
            "failures",
            "failing_since",
            "succeeded_at",
            "sealed_secret",
            "former_sealed_secret",
        }
    )

    class Meta:
        db_table = "webhook_endpoints"
        verbose_name = _("推送地址")
        verbose_name_plural = _("推送地址")
        permissions = (("manage_endpoints", _("可以管理推送地址")),)
        constraints = (
            models.CheckConstraint(
                condition=Q(status__in=EndpointStatus.values), name="endpoint_status_known"
            ),
            models.CheckConstraint(
                condition=Q(status="enabled", disabled_because="", disabled_at=None)
                | Q(
                    status="disabled",
                    disabled_because__in=("by_hand", "gone", "failing"),
                    disabled_at__isnull=False,
                ),
                name="endpoint_disabled_for_a_reason",
            ),
            models.CheckConstraint(
                condition=Q(former_sealed_secret="", former_until=None)
                | (~Q(former_sealed_secret="") & Q(former_until__isnull=False)),
                name="endpoint_former_secret_ends",
            ),
        )

    def __str__(self) -> str:
        return self.url

    @property
    def is_enabled(self) -> bool:
        return self.status == EndpointStatus.ENABLED

    def place(self, column: str) -> Place:
        """Where the secret in ``column`` opens."""
        return Place("webhook_endpoints", str(self.id), column)


class WebhookDelivery(models.Model):
    """One event on its way to one endpoint.

    ``sequence`` and ``object_id`` are the event's: an event waits while an earlier one of its
    object is pending. ``tries`` counts those since it was planned, or replayed.
    """

    id = id_field()
    endpoint = models.ForeignKey(
        WebhookEndpoint,
        on_delete=models.CASCADE,
        related_name="deliveries",
        db_index=False,  # delivery_due begins with it
        verbose_name=_("推送地址"),
    )
    event = models.ForeignKey(
        WebhookEvent,
        on_delete=models.CASCADE,
        related_name="deliveries",
        db_index=False,  # delivery_once_each begins with it
        verbose_name=_("事件"),
    )
    sequence = models.BigIntegerField(_("序号"))
    object_id = UUIDTextField(_("对象编号"))
    status = models.CharField(
        _("状态"),
        max_length=16,
        choices=DeliveryStatus,
        default=DeliveryStatus.PENDING,
        db_default=DeliveryStatus.PENDING,
    )
    tries = models.PositiveSmallIntegerField(_("尝试次数"), default=0, db_default=0)
    due_at = models.DateTimeField(_("下次尝试"), null=True, blank=True)
    # Whose turn carries it, and until when others leave it alone.
    lease = UUIDTextField(null=True, blank=True)
    leased_until = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(_("结束时间"), null=True, blank=True)
    created_at = models.DateTimeField(_("创建时间"), db_default=UtcNow())

    class Meta:
        db_table = "webhook_deliveries"
        verbose_name = _("事件投递")
        verbose_name_plural = _("事件投递")
        constraints = (
            models.UniqueConstraint(fields=("event", "endpoint"), name="delivery_once_each"),
            models.CheckConstraint(
                condition=Q(status="pending", due_at__isnull=False, ended_at=None)
                | Q(status__in=("delivered", "failed"), due_at=None, ended_at__isnull=False),
                name="delivery_status_known",
            ),
        )
        indexes = (
            models.Index(fields=("endpoint", "status", "due_at"), name="delivery_due"),
            models.Index(
                fields=("endpoint", "object_id", "status", "sequence"), name="delivery_order"
            ),
        )

    def __str__(self) -> str:
        return f"{self.sequence} → {self.endpoint_id}"


class WebhookTry(models.Model):
    """One call to an endpoint and how it was answered; without a delivery: the test button's."""

    id = id_field()
    endpoint = models.ForeignKey(
        WebhookEndpoint,
        on_delete=models.CASCADE,
        related_name="tries",
        db_index=False,  # try_of_endpoint begins with it
        verbose_name=_("推送地址"),
    )
    delivery = models.ForeignKey(
        WebhookDelivery,
        on_delete=models.CASCADE,
        null=True,
        related_name="log",
        verbose_name=_("事件投递"),
    )
    tried_at = models.DateTimeField(_("时间"), db_default=UtcNow())
    took_ms = models.PositiveIntegerField(_("耗时（毫秒）"), default=0)
    # HTTP's; NULL without an answer, and then ``problem`` says why.
    http_status = models.PositiveSmallIntegerField(_("HTTP 状态"), null=True)
    problem = models.CharField(
        _("问题"), max_length=16, choices=TryProblem, blank=True, default=TryProblem.NONE
    )
    # How it begins (2 KB), without what looks like a secret or a person.
    answer = models.TextField(_("应答"), blank=True, default="")

    class Meta:
        db_table = "webhook_tries"
        verbose_name = _("投递日志")
        verbose_name_plural = _("投递日志")
        constraints = (
            models.CheckConstraint(
                condition=Q(problem="", http_status__isnull=False)
                | (Q(problem__in=[one for one in TryProblem.values if one]) & Q(http_status=None)),
                name="try_answered_or_not",
            ),
        )
        indexes = (models.Index(fields=("endpoint", "tried_at"), name="try_of_endpoint"),)

    def __str__(self) -> str:
        return f"{self.http_status or self.problem}"

    @property
    def is_success(self) -> bool:
        return self.http_status is not None and 200 <= self.http_status < 300
