"""Events promised to the platform, and how far they have come."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from tcmpay.common.fields import UtcNow, UUIDTextField, id_field
from webhooks.states import EventType


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
    """The one row under whose lock sequences are given.

    ``promised_from``: changes told in the trail before it have no events, as the product knew none
    then (NULL: there was nothing before).
    """

    id = models.PositiveSmallIntegerField(primary_key=True)
    last_sequence = models.BigIntegerField(_("最新序号"), default=0, db_default=0)
    promised_from = models.DateTimeField(_("事件起始时间"), null=True)

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
