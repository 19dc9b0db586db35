"""What a request has to pass before it may move money: idempotency keys and rate counters."""

from django.db import models

from tcmpay.common.fields import UtcNow, UUIDTextField, id_field


class IdempotencyKey(models.Model):
    """A caller's promise that two requests are the same one, and the answer of the first.

    The key itself is kept as its hash: callers' keys are case-sensitive, collations are not.
    """

    id = id_field()
    caller_id = UUIDTextField()
    key_hash = models.CharField(max_length=64)
    fingerprint = models.CharField(max_length=64)
    lease = models.PositiveIntegerField(default=1)
    claimed_at = models.DateTimeField(db_default=UtcNow())
    completed_at = models.DateTimeField(null=True)
    response_status = models.PositiveSmallIntegerField(null=True)
    response_body = models.JSONField(null=True)
    # A keyed digest of the kept answer and of what it answers (services.answer_mac).
    mac = models.CharField(max_length=64, blank=True, default="", db_default="")

    class Meta:
        db_table = "idempotency_keys"
        constraints = (
            models.UniqueConstraint(
                fields=("caller_id", "key_hash"), name="idempotency_key_unique"
            ),
        )
        indexes = (models.Index(fields=("claimed_at",), name="idempotency_claimed_at"),)

    def __str__(self) -> str:
        return str(self.id)


class RateCounter(models.Model):
    """Hits of one bucket in one window; exact under concurrency because the database counts."""

    bucket = models.CharField(max_length=64, primary_key=True)
    hits = models.PositiveIntegerField()
    expires_at = models.BigIntegerField(help_text="unix seconds")

    class Meta:
        db_table = "rate_counters"
        indexes = (models.Index(fields=("expires_at",), name="rate_counter_expires"),)

    def __str__(self) -> str:
        return self.bucket


class BeatLease(models.Model):
    """Which beat acts, until when; a single row. ``term`` grows with every new holder."""

    ONLY = 1

    id = models.PositiveSmallIntegerField(primary_key=True)
    holder = models.CharField(max_length=255)
    term = models.PositiveBigIntegerField()
    until = models.DateTimeField()

    class Meta:
        db_table = "beat_leases"
        constraints = (models.CheckConstraint(condition=models.Q(id=1), name="beat_lease_only"),)

    def __str__(self) -> str:
        return f"{self.holder} {self.term}"
