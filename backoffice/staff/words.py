"""What the log of sign-ins says, in words."""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tcmpay.accounts.models import SignIn, SignInOutcome

CAUSES = {
    "password": gettext_lazy("密码"),
    "totp": gettext_lazy("密码与验证码"),
    "recovery": gettext_lazy("密码与恢复码"),
    "code": gettext_lazy("验证码不正确"),
    "not_staff": gettext_lazy("不是后台员工"),
    "idle": gettext_lazy("长时间未操作"),
    "age": gettext_lazy("登录到期"),
}


def cause_text(row: SignIn) -> str:
    """What a line of the log was about, in words."""
    if row.cause == "password" and row.outcome != SignInOutcome.SUCCEEDED:
        return _("用户名或密码不正确")
    return str(CAUSES.get(row.cause, row.cause))


def sign_in_text(row: SignIn) -> str:
    """A line of the log of sign-ins, e.g. 登录成功（密码与验证码）."""
    outcome = SignInOutcome(row.outcome).label
    cause = cause_text(row)
    return f"{outcome}（{cause}）" if cause else str(outcome)
