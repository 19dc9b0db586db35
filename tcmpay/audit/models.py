"""The audit trail: who did what to which object, when and why. Insert only."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from tcmpay.common.fields import UtcNow, UUIDTextField, id_field


class AuditEvent(models.Model):
    """One thing that happened to one object; ``hash`` binds it to the event before it.

    The chain is per object: a global one would make every payment wait for every other.
    """

    id = id_field()
    object_type = models.CharField(_("对象类型"), max_length=32)
    object_id = models.CharField(_("对象编号"), max_length=64)
    version = models.PositiveIntegerField(_("版本"))
    action = models.CharField(_("动作"), max_length=64)
    from_state = models.CharField(_("原状态"), max_length=32, blank=True, default="")
    to_state = models.CharField(_("新状态"), max_length=32, blank=True, default="")
    actor_id = UUIDTextField(_("操作人"), null=True)
    actor_role = models.CharField(_("操作人角色"), max_length=16)
    actor_name = models.CharField(_("操作人名称"), max_length=150, blank=True, default="")
    reason = models.CharField(_("原因"), max_length=500, blank=True, default="")
    details = models.JSONField(_("详情"), default=dict)
    request_id = models.CharField(_("请求编号"), max_length=64, blank=True, default="")
    created_at = models.DateTimeField(_("时间"), db_default=UtcNow())
    previous_hash = models.CharField(max_length=64, blank=True, default="")
    hash = models.CharField(max_length=64)

    class Meta:
        db_table = "audit_events"
        verbose_name = _("审计记录")
        verbose_name_plural = _("审计记录")
        permissions = (("verify_auditevent", _("校验审计链")),)
        constraints = (
            models.UniqueConstraint(
                fields=("object_type", "object_id", "version"),
                name="audit_object_version_unique",
            ),
        )
        indexes = (
            models.Index(fields=("created_at",), name="audit_created_at"),
            models.Index(fields=("actor_id", "created_at"), name="audit_actor"),
        )

    def __str__(self) -> str:
        return f"{self.object_type} {self.object_id} v{self.version} {self.action}"


class ChainRoot(models.Model):
    """What one chained table got up to ``until`` since the root before, bound by a keyed digest.

    Insert only, gapless numbers; but when it left for AUDIT_ROOT_FILE and AUDIT_ROOT_URL is told
    later. ``is_anchor``: the first one of a table whose rows were hashed without a key until then.
    """

    id = id_field()
    chain = models.CharField(_("链"), max_length=64)
    number = models.PositiveIntegerField(_("序号"))
    until = models.DateTimeField(_("截至"))
    rows = models.PositiveIntegerField(_("条数"))
    rows_sha256 = models.CharField(max_length=64)
    previous_root = models.CharField(max_length=64, blank=True, default="")
    root = models.CharField(_("根哈希"), max_length=64)
    sealed_at = models.DateTimeField(_("封存时间"), db_default=UtcNow())
    is_anchor = models.BooleanField(default=False, db_default=False)
    filed_at = models.DateTimeField(null=True)
    posted_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "chain_roots"
        verbose_name = _("封存")
        verbose_name_plural = _("封存")
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=("chain", "number"), name="chain_root_number_unique"),
        )

    def __str__(self) -> str:
        return f"{self.chain} #{self.number}"


class ChainSeal(models.Model):
    """One business day of one chained table, hashed as a whole; ``root`` binds the day before.

    From the time before ``ChainRoot``: kept and compared, no more are made.
    """

    id = id_field()
    chain = models.CharField(_("链"), max_length=64)
    day = models.DateField(_("日期"))
    rows = models.PositiveIntegerField(_("条数"))
    rows_sha256 = models.CharField(max_length=64)
    previous_root = models.CharField(max_length=64, blank=True, default="")
    root = models.CharField(_("根哈希"), max_length=64)
    sealed_at = models.DateTimeField(_("封存时间"), db_default=UtcNow())

    class Meta:
        db_table = "chain_seals"
        verbose_name = _("每日封存")
        verbose_name_plural = _("每日封存")
        constraints = (
            models.UniqueConstraint(fields=("chain", "day"), name="chain_seal_day_unique"),
        )


class ChainKey(models.Model):
    """A key that made digests and is not in the environment any more, sealed with the one that is.

    ``sealed_key`` opens with CONFIG_ENCRYPTION_KEYS alone: the table is of no use to its reader.
    """

    key_id = models.CharField(max_length=8, primary_key=True)
    sealed_key = models.TextField()
    kept_at = models.DateTimeField(db_default=UtcNow())

    class Meta:
        db_table = "audit_chain_keys"
        default_permissions = ()


class TableMark(models.Model):
    """What the rows of one table of authority were when the product wrote them (audit/marks.py).

    ``rows``: a keyed digest by primary key; ``mac`` binds all of them.
    """

    table_name = models.CharField(max_length=64, primary_key=True)
    number = models.PositiveIntegerField(default=0)
    rows = models.JSONField(default=dict)
    marked_at = models.DateTimeField(db_default=UtcNow())
    mac = models.CharField(max_length=64, blank=True, default="")

    class Meta:
        db_table = "table_marks"
        default_permissions = ()


class LogHead(models.Model):
    """How many rows a log has about one subject, and the hash of the newest (audit/logs.py)."""

    id = id_field()
    log = models.CharField(max_length=64)
    key = models.CharField(max_length=128)
    rows = models.PositiveIntegerField(default=0)
    hash = models.CharField(max_length=64, blank=True, default="")

    class Meta:
        db_table = "log_heads"
        default_permissions = ()
        constraints = (models.UniqueConstraint(fields=("log", "key"), name="log_head_unique"),)
