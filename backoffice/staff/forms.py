"""The forms of signing in and of one's own account."""

from typing import Any

from django import forms
from django.contrib.auth import authenticate
from django.contrib.auth.signals import user_login_failed
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.forms import (
    AdminOwnPasswordChangeForm,
    AdminPasswordChangeForm,
    AuthenticationForm,
    UserChangeForm,
    UserCreationForm,
)
from unfold.widgets import (
    BASE_INPUT_CLASSES,
    UnfoldAdminPasswordWidget,
    UnfoldAdminTextInputWidget,
)

from backoffice.site.forms import ReasonFormField
from tcmpay.accounts.lockout import (
    address_of,
    is_locked,
    lock_ends_in_seconds,
    own_password_wait_seconds,
    wait_seconds_by_rate,
)
from tcmpay.accounts.models import SignInOutcome, StaffUser
from tcmpay.accounts.roles import permissions_within
from tcmpay.accounts.services.second_factor import device_of, second_factor_check
from tcmpay.accounts.services.staff import lockout_record, own_password_set, sign_in_record

USERNAME_LENGTH_MAX = 150
PASSWORD_MAX = 1024
CODE_LENGTH_MAX = 40
CODE_ATTRIBUTES = {"autocomplete": "one-time-code", "inputmode": "text", "autocapitalize": "off"}


class SignInForm(AuthenticationForm):
    """Username, password and, for who has an authenticator, its code: one step, one refusal.

    Whatever is wrong, the text is the same, and the code is looked at only after the password:
    nobody learns whether an account exists, nor whether a guessed password was right.
    """

    code = forms.CharField(
        label=_("验证码"),
        required=False,
        max_length=CODE_LENGTH_MAX,
        help_text=_("已绑定身份验证器的账号必填：6 位验证码，或一个恢复码。"),
        widget=forms.TextInput(attrs={**CODE_ATTRIBUTES, "class": " ".join(BASE_INPUT_CLASSES)}),
    )
    error_messages = {
        "invalid_login": _("用户名、密码或验证码不正确。"),
        "inactive": _("用户名、密码或验证码不正确。"),
    }

    def clean_username(self) -> str:
        username: str = self.cleaned_data["username"]
        # No account has such a name, and no column of the logs would hold it.
        if len(username) > USERNAME_LENGTH_MAX or len(self.data.get("password", "")) > PASSWORD_MAX:
            raise self.get_invalid_login_error()
        return username

    def clean(self) -> dict[str, Any]:
        username = self.cleaned_data.get("username")
        password = self.cleaned_data.get("password")
        if username is None or not password:
            return self.cleaned_data
        self._refuse_locked(username)
        person = authenticate(self.request, username=username, password=password)
        if not isinstance(person, StaffUser):
            self._failed(username, None, "password")
        elif not person.is_staff:
            self._failed(username, person, "not_staff")
        else:
            self._check_second_factor(person, username)
        self.user_cache = person
        return self.cleaned_data

    def _refuse_locked(self, username: str) -> None:
        """Before the password is looked at: whoever is locked out learns nothing more."""
        seconds = wait_seconds_by_rate(self.request, username)
        if not seconds and is_locked(self.request, username):
            seconds = lock_ends_in_seconds(self.request, username)
        if seconds:
            self.request.axes_locked_out = True
            raise self._locked(seconds)

    def _check_second_factor(self, person: StaffUser, username: str) -> None:
        if device_of(person) is None:
            return
        vouched = second_factor_check(person=person, code=self.cleaned_data.get("code") or "")
        if vouched is None:
            user_login_failed.send(
                sender=__name__, credentials={"username": username}, request=self.request
            )
            self._failed(username, person, "code")
            return
        # django-otp keeps it in the session when the person is signed in.
        device, self.request.sign_in_cause = vouched
        person.otp_device = device  # type: ignore[attr-defined]

    def _failed(self, username: str, person: StaffUser | None, cause: str) -> None:
        """Write it down and refuse; the failure that locks says so. Raises ValidationError."""
        address = address_of(self.request)
        has_locked = bool(getattr(self.request, "axes_locked_out", False))
        sign_in_record(
            outcome=SignInOutcome.LOCKED if has_locked else SignInOutcome.FAILED,
            cause=cause,
            username=username,
            user_id=person.pk if person else None,
            address=address,
            user_agent=self.request.META.get("HTTP_USER_AGENT", ""),
        )
        if has_locked:
            lockout_record(username=username, address=address)
            raise self._locked(lock_ends_in_seconds(self.request, username))
        raise self.get_invalid_login_error()

    def _locked(self, seconds: int) -> ValidationError:
        self.request.sign_in_wait_seconds = seconds
        minutes = -(-seconds // 60)
        text = gettext("登录失败次数过多，已暂时锁定，请在 %(minutes)s 分钟后再试。")
        return ValidationError(text % {"minutes": minutes}, code="locked")


class CodeForm(forms.Form):
    """A code of the authenticator; with ``password`` also who asks."""

    code = forms.CharField(
        label=_("验证码"),
        max_length=CODE_LENGTH_MAX,
        widget=UnfoldAdminTextInputWidget(attrs={**CODE_ATTRIBUTES, "autofocus": ""}),
    )


PAUSED = "paused"


def _refuse_guessing(person: StaffUser) -> None:
    """Before the password is looked at: in an open window it is not guessed either.

    Raises ValidationError.
    """
    seconds = own_password_wait_seconds(person.pk)
    if seconds:
        text = gettext("密码输入次数过多，请在 %(minutes)s 分钟后再试。")
        raise ValidationError(text % {"minutes": -(-seconds // 60)}, code=PAUSED)


class PasswordForm(forms.Form):
    """The password once more, before something that whoever finds an open window may not do."""

    password = forms.CharField(
        label=_("当前密码"),
        strip=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "current-password"}),
    )

    def __init__(self, *args: Any, person: StaffUser, **kwargs: Any) -> None:
        self.person = person
        super().__init__(*args, **kwargs)

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        _refuse_guessing(self.person)
        if not self.person.check_password(password):
            raise ValidationError(gettext("密码不正确。"))
        return password


class PasswordAndCodeForm(PasswordForm, CodeForm):
    field_order = ("password", "code")


class OwnPasswordForm(AdminOwnPasswordChangeForm):
    """One's own new password, which must differ from the one that it replaces."""

    def clean_old_password(self) -> str:
        _refuse_guessing(self.user)
        return str(super().clean_old_password())

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        password = cleaned.get("new_password1")
        # Only beside the right one: the answer would tell what the password is.
        if password and password == cleaned.get("old_password"):
            self.add_error("new_password1", gettext("新密码不能与当前密码相同。"))
        return cleaned

    def save(self, commit: bool = True) -> StaffUser:
        own_password_set(person=self.user, password=self.cleaned_data["new_password1"])
        return self.user


REASON_HELP = _("记入审计记录。")


class ReasonForm(forms.Form):
    """Why: kept in the audit trail."""

    reason = ReasonFormField()


class RolesWithin(forms.ModelForm):
    """Nobody gives, or takes away, a role that may more than they themselves."""

    editor: Any = None

    def clean_groups(self) -> Any:
        wanted = set(self.cleaned_data["groups"])
        former = set(self.instance.groups.all()) if self.instance.pk and not self._is_new else set()
        moved = wanted ^ former
        if self.editor is None or self.editor.is_superuser:
            return self.cleaned_data["groups"]
        if moved and not permissions_within(moved, self.editor.get_all_permissions()):
            raise ValidationError(gettext("不能分配权限超出您自己的角色。"))
        return self.cleaned_data["groups"]

    @property
    def _is_new(self) -> bool:
        return bool(self.instance._state.adding)


class StaffChangeForm(RolesWithin, UserChangeForm):
    reason = ReasonFormField(help_text=REASON_HELP)


class StaffCreationForm(RolesWithin, UserCreationForm):
    reason = ReasonFormField(help_text=REASON_HELP)


class StaffPasswordForm(AdminPasswordChangeForm):
    """A new password for somebody else, who has to change it at the next sign-in."""

    reason = ReasonFormField(help_text=REASON_HELP)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # An account without a password could not sign in at all: switch it off instead.
        self.fields.pop("usable_password", None)
        for name in ("password1", "password2"):
            self.fields[name].required = True
