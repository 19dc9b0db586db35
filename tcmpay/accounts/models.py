"""Staff of the back office. Patients and doctors live in the platform; we know their ids."""

from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth.models import AbstractUser, Permission, UserManager
from django.db import models
from django.db.models import Q
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _
from django_otp.models import Device, DeviceManager, ThrottlingMixin, TimestampMixin
from django_otp.oath import TOTP

from tcmpay.accounts.roles import ROLES
from tcmpay.audit.marks import Marked, MarkedQuerySet
from tcmpay.common import clock
from tcmpay.common.actor import Actor, Role
from tcmpay.common.fields import UtcNow, UUIDTextField, id_field
from tcmpay.common.sealing import (
    ConfigSecretUnreadable,
    Place,
    SealProblem,
    former_opened,
    seal,
    unseal,
)

TOTP_STEP_SECONDS = 30
TOTP_DIGITS = 6
# Codes of the step before and after are good too: clocks of phones are off by seconds.
TOTP_TOLERANCE_STEPS = 1


class StaffManager(UserManager.from_queryset(MarkedQuerySet)):  # type: ignore[misc]
    use_in_migrations = False


class StaffUser(Marked, AbstractUser):
    """Someone who signs in to the admin.

    The id is a UUID: where the same person also holds a platform token it is the token's
    ``sub``, and rules about "the same person" compare the two.

    ``session_epoch`` is part of what a session is bound to: counting it up ends all of them.
    """

    UNMARKED = ("last_login",)

    id = id_field()
    session_epoch = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    must_change_password = models.BooleanField(
        _("下次登录须修改密码"), default=False, db_default=False, editable=False
    )

    objects: ClassVar[StaffManager] = StaffManager()

    class Meta:
        db_table = "staff_users"
        verbose_name = _("员工")
        verbose_name_plural = _("员工")

    def get_full_name(self) -> str:
        """As names are written here: the family's name first, nothing between."""
        return f"{self.last_name}{self.first_name}".strip()

    def more_marked(self) -> dict[str, Any]:
        """The account's roles, and what it may beyond our table of roles."""
        groups = dict(self.groups.values_list("pk", "name"))
        others = [key for key, name in groups.items() if name not in ROLES]
        permissions = Permission.objects.using(self._state.db)
        beyond = permissions.filter(Q(user=self) | Q(group__in=others))
        names = beyond.values_list("content_type__app_label", "codename").distinct()
        return {
            "groups": sorted(groups.values()),
            "permissions": sorted(f"{label}.{codename}" for label, codename in names),
        }

    def as_actor(self) -> Actor:
        return Actor(id=self.id, role=Role.STAFF, name=self.get_full_name() or self.username)

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        return salted_hmac(
            "tcmpay.accounts.models.StaffUser.session",
            f"{self.session_epoch}:{self.password}",
            secret=secret,
            algorithm="sha256",
        ).hexdigest()


class TotpManager(DeviceManager.from_queryset(MarkedQuerySet)):  # type: ignore[misc]
    pass


class TotpDevice(Marked, TimestampMixin, ThrottlingMixin, Device):
    """The app on somebody's phone that shows a code every half minute.

    The shared key is sealed for this row and its owner: one that was copied elsewhere by SQL does
    not open there. Failed codes make the next try wait 1, 2, 4 … seconds, and a code is good once.
    """

    UNMARKED = (
        *("drift", "last_step", "last_used_at"),
        *("throttling_failure_count", "throttling_failure_timestamp"),
    )

    sealed_key = models.TextField(editable=False)
    drift = models.SmallIntegerField(default=0)
    last_step = models.BigIntegerField(default=-1)

    objects = TotpManager()

    class Meta:
        db_table = "staff_totp_devices"
        verbose_name = _("身份验证器")
        verbose_name_plural = _("身份验证器")

    def key_set(self, key: bytes) -> None:
        """Seal ``key`` for this row, which must have been saved before."""
        if self.pk is None:
            raise ValueError("an authenticator's key is sealed for its row: save that first")
        self.sealed_key = seal(key.hex(), self.key_place)

    def key(self) -> bytes:
        """The shared key. Raises ConfigSecretUnreadable."""
        return bytes.fromhex(unseal(self.sealed_key, self.key_place))

    def former_key(self) -> bytes:
        """The key as it was sealed before seals were bound to their rows: it named its owner.

        Only for sealing it anew. Raises ConfigSecretUnreadable.
        """
        owner, _separator, key = former_opened(self.sealed_key).partition(":")
        if owner != str(self.user_id):
            raise ConfigSecretUnreadable(problem=SealProblem.MISPLACED)
        return bytes.fromhex(key)

    @property
    def key_place(self) -> Place:
        return Place("staff_totp_devices", str(self.pk), f"key of {self.user_id}")

    def verify_token(self, token: Any) -> bool:
        """Whether ``token`` is the code of now; writes what follows from the answer.

        Must run with the row locked (django_otp.verify_token, services.second_factor).
        """
        if not self.verify_is_allowed()[0]:
            return False
        step = self._step_of(str(token))
        if step is None:
            self.throttle_increment(commit=True)
            return False
        self.last_step = step
        self.throttle_reset(commit=False)
        self.set_last_used_timestamp(commit=False)
        self.save()
        return True

    def _step_of(self, token: str) -> int | None:
        if not (token.isascii() and token.isdigit() and len(token) == TOTP_DIGITS):
            return None
        totp = TOTP(self.key(), step=TOTP_STEP_SECONDS, digits=TOTP_DIGITS, drift=self.drift)
        totp.time = clock.now().timestamp()
        if not totp.verify(int(token), TOTP_TOLERANCE_STEPS, self.last_step + 1):
            return None
        self.drift = totp.drift
        return int(totp.t())

    def get_throttle_factor(self) -> int:
        return 1


class RecoveryCode(Marked):
    """One of the codes that replace a lost phone, each once. Only its hash is kept.

    A code is 80 random bits, so a fast hash can't be searched.
    """

    id = id_field()
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="recovery_codes"
    )
    code_hash = models.CharField(max_length=64)
    used_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=UtcNow())

    objects = MarkedQuerySet.as_manager()

    class Meta:
        db_table = "staff_recovery_codes"
        constraints = (
            models.UniqueConstraint(
                fields=("user", "code_hash"), name="staff_recovery_code_unique"
            ),
        )


class SignInOutcome(models.TextChoices):
    SUCCEEDED = "succeeded", _("登录成功")
    FAILED = "failed", _("登录失败")
    LOCKED = "locked", _("已锁定")
    SIGNED_OUT = "signed_out", _("退出登录")
    ENDED = "ended", _("会话结束")


class SignIn(models.Model):
    """Somebody signed in, tried to, was locked out, or left. Insert only."""

    id = id_field()
    outcome = models.CharField(_("结果"), max_length=16, choices=SignInOutcome)
    # What it was about in code: password, code, recovery, idle, age, everywhere …
    cause = models.CharField(_("说明"), max_length=32, blank=True, default="")
    username = models.CharField(_("用户名"), max_length=150)
    user_id = UUIDTextField(_("员工"), null=True)
    address = models.CharField(_("网络地址"), max_length=45, blank=True, default="")
    user_agent = models.CharField(_("浏览器"), max_length=255, blank=True, default="")
    request_id = models.CharField(_("请求编号"), max_length=64, blank=True, default="")
    created_at = models.DateTimeField(_("时间"), db_default=UtcNow())
    # A keyed digest of the rest (services.staff.sign_in_facts).
    hash = models.CharField(max_length=64, blank=True, default="", db_default="")

    class Meta:
        db_table = "staff_sign_ins"
        verbose_name = _("登录记录")
        verbose_name_plural = _("登录记录")
        indexes = (
            models.Index(fields=("created_at",), name="staff_sign_in_created_at"),
            models.Index(fields=("user_id", "created_at"), name="staff_sign_in_user"),
            models.Index(fields=("username", "created_at"), name="staff_sign_in_username"),
        )

    def __str__(self) -> str:
        return f"{self.username} {self.get_outcome_display()}"
