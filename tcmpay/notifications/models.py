"""What is to be told to people outside of the product. The row is the queue."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from tcmpay.common.fields import UtcNow, id_field


class Channel(models.TextChoices):
    EMAIL = "email", _("邮件")
    WEBHOOK = "webhook", "Webhook"
    WECOM = "wecom", _("企业微信")
    DINGTALK = "dingtalk", _("钉钉")
    FEISHU = "feishu", _("飞书")


class Notification(models.Model):
    """One message over one channel. ``due_at`` is empty once it was sent or given up."""

    id = id_field()
    channel = models.CharField(_("渠道"), max_length=16, choices=Channel)
    # E-mail alone: to whom, between commas; empty: to whoever the deployment names.
    recipients = models.CharField(_("收件人"), max_length=1000, blank=True, default="")
    title = models.CharField(_("标题"), max_length=200)
    text = models.TextField(_("正文"))
    # The same for programs: what the generic webhook carries.
    facts = models.JSONField(default=dict)
    created_at = models.DateTimeField(_("时间"), db_default=UtcNow())
    due_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(_("发出时间"), null=True)
    tries = models.PositiveIntegerField(_("次数"), default=0)
    problem = models.CharField(_("问题"), max_length=100, blank=True, default="")

    class Meta:
        db_table = "notifications"
        verbose_name = _("通知")
        verbose_name_plural = _("通知")
        constraints = (
            models.CheckConstraint(
                condition=Q(channel__in=Channel.values), name="notification_channel_known"
            ),
            models.CheckConstraint(
                condition=Q(sent_at=None) | Q(due_at=None), name="notification_sent_is_not_due"
            ),
        )
        indexes = (
            models.Index(fields=("due_at",), name="notification_due"),
            models.Index(fields=("created_at",), name="notification_created"),
        )
